// Middleware around a client's calls, streams and gathers.

import { type ClientMiddleware, contract, procedure, stream } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, failureOf } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const desk = contract('desk', {
  greet: procedure({ input: z.object({ name: z.string() }), output: z.string() }),
  count: stream({ input: z.object({ to: z.int() }), output: z.int() }),
  sum: stream({ upload: z.int(), output: z.int() }),
})

export function describeClientMiddleware(createLinks: CreateLinks): void {
  const opened = async () => {
    const { mesh } = await openScene(createLinks, { workers: 2 })
    for (const worker of mesh.workers)
      worker.serve(desk, {
        greet: ({ name }, { meta }) => `${name} ${meta.token ?? '-'} ${worker.number}`,
        async *count({ to }, { meta }) {
          for (let n = 1; n <= to; n++) yield meta.token === undefined ? n : n * 10
        },
        async sum(_input, { upload }) {
          let sum = 0
          for await (const n of upload) sum += n
          return sum
        },
      })
    await allReady(mesh)
    return mesh
  }
  const collect = async <T>(values: AsyncIterable<T>) => {
    const all: T[] = []
    for await (const value of values) all.push(value)
    return all
  }
  const token: ClientMiddleware = ({ options }, next) =>
    next({ options: { ...options, meta: { token: 't' } } })

  test('it runs around calls, streams, uploads and gathers alike, the first outermost', async () => {
    const mesh = await opened()
    const log: string[] = []
    const note: ClientMiddleware = async ({ kind, procedure: name }, next) => {
      log.push(`${kind} ${name}`)
      return next()
    }
    const use = [note, token]
    const client = mesh.primary.client(desk, { to: 1, use })
    expect(await client.greet({ name: 'Ada' })).toBe('Ada t 1')
    expect(await collect(client.count({ to: 3 }))).toEqual([10, 20, 30])
    expect(await client.sum(undefined, { upload: [1, 2, 3] })).toBe(6)
    expect(await collect(client.sum(undefined, { upload: [4] }))).toEqual([4])
    const { values } = await mesh.primary.all(desk, { use }).greet({ name: 'Bob' })
    expect(values).toEqual(['Bob t 1', 'Bob t 2'])
    expect(log).toEqual([
      'call desk.greet',
      'stream desk.count',
      'stream desk.sum',
      'stream desk.sum',
      'gather desk.greet',
    ])
  })

  test('it may wrap a stream’s values, answer with others, or refuse', async () => {
    const mesh = await opened()
    async function* doubled(values: AsyncIterable<number>) {
      for await (const n of values) yield n * 2
    }
    const wrapping = mesh.primary.client(desk, {
      use: [async (_call, next) => doubled((await next()) as AsyncIterable<number>)],
    })
    expect(await collect(wrapping.count({ to: 3 }))).toEqual([2, 4, 6])
    const refusing = mesh.primary.client(desk, {
      use: [() => Promise.reject(new Error('not for you'))],
    })
    await expect(refusing.count({ to: 3 }).next()).rejects.toThrow('not for you')
    const wrong = mesh.primary.client(desk, { use: [async () => 42] })
    expect(await failureOf(wrong.count({ to: 3 }).next())).toMatchObject({
      code: 'INVALID_OPTION',
      procedure: 'desk.count',
    })
  })

  test('leaving a stream behind middleware ends its handler', async () => {
    const mesh = await opened()
    const client = mesh.primary.client(desk, { use: [token] })
    const left = client.count({ to: 1_000_000 })
    for await (const n of left) if (n === 20) break
    expect(await left.next()).toEqual({ value: undefined, done: true })
    // That nothing goes on there is checked when the test ends.
    const unread = client.count({ to: 3 })
    expect(await unread.return?.()).toEqual({ value: undefined, done: true })
    expect(await unread.next()).toEqual({ value: undefined, done: true })
  })
}
