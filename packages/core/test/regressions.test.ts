// One test for each fault that a reader found and no other test had.

import { Readable } from 'node:stream'
import { contract, procedure, stream, topic, WorkerLostError } from '@clusterwire/core'
import { createMemoryMesh, type MemoryMesh } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { deferred, failureOf, until } from './support.js'

async function open(workers: number): Promise<MemoryMesh> {
  const mesh = await createMemoryMesh({ workers })
  onTestFinished(() => mesh.close())
  return mesh
}

/** A thing that throws at every look. */
function hostile(target: object = {}): object {
  const refuse = (): never => {
    throw new Error('do not look at me')
  }
  return new Proxy(target, { get: refuse, has: refuse, getPrototypeOf: refuse })
}

test('a declared error behind a proxy that throws fails its call, and nothing else', async () => {
  const desk = contract('desk', { greet: procedure({ errors: { BAD: z.object({ n: z.int() }) } }) })
  const mesh = await open(1)
  mesh.workers[0]?.serve(desk, {
    async greet(_input, { errors }) {
      const error = errors.BAD({ n: 1 })
      throw new Proxy(error, {
        get(target, key, receiver) {
          if (key === 'data') throw new Error('do not look at me')
          return Reflect.get(target, key, receiver)
        },
      })
    },
  })
  await mesh.workers[0]?.ready()
  await expect(mesh.primary.client(desk).greet()).rejects.toMatchObject({ code: 'HANDLER_ERROR' })
})

test('a subscriber that throws something hostile is reported', async () => {
  const desk = contract('desk', { news: topic(z.string()) })
  const mesh = await open(1)
  mesh.workers[0]?.subscribe(desk.news, () => {
    throw hostile()
  })
  await mesh.workers[0]?.ready()
  mesh.primary.publish(desk.news, 'extra')
  await expect.poll(() => mesh.errors.length).toBe(1)
})

test('thousands of calls that wait for a place all get it, though each is done at once', async () => {
  const limits = { concurrency: 1, queue: { limit: 10_000 } }
  const desk = contract('desk', {
    hold: procedure(limits),
    work: procedure({ input: z.boolean(), output: z.int(), ...limits }),
  })
  const mesh = await open(1)
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  mesh.workers[0]?.serve(desk, {
    hold: () => {},
    work: (wait) => (wait ? held.then(() => 1) : 1),
  })
  await mesh.workers[0]?.ready()
  const client = mesh.primary.client(desk)
  const calls = Array.from({ length: 5_000 }, (_, n) => client.work(n === 0))
  await client.hold() // All of them have arrived when this is answered.
  release()
  expect((await Promise.all(calls)).length).toBe(5_000)
})

test('a member whose answer can not be sent does not cost the others theirs', async () => {
  const desk = contract('desk', { greet: procedure({ output: z.unknown() }) })
  const mesh = await open(2)
  for (const worker of mesh.workers) {
    worker.serve(desk, { greet: () => (worker.number === 1 ? () => {} : 'hello') })
    await worker.ready()
  }
  const { outcomes } = await mesh.primary.all(desk).greet()
  expect(outcomes).toMatchObject([
    { status: 'failed', error: { code: 'INVALID_RESPONSE' } },
    { status: 'applied', value: 'hello' },
  ])
})

test('a stream that a handler opens has no more time than its caller', async () => {
  const desk = contract('desk', {
    ask: procedure({ output: z.boolean(), timeout: 5_000 }),
    watch: stream({ output: z.number() }),
  })
  const mesh = await open(2)
  const [one, two] = mesh.workers
  for (const worker of [one, two])
    worker?.serve(desk, {
      async ask() {
        const values = worker.client(desk, { to: 2 }).watch()
        const { value } = await values.next()
        await values.return?.()
        return Number.isFinite(value)
      },
      async *watch(_input, { deadline }) {
        yield deadline
      },
    })
  await Promise.all([one?.ready(), two?.ready()])
  expect(await mesh.primary.client(desk, { to: 1 }).ask()).toBe(true)
})

test('an error of ours that a schema throws after the handler has run does not run it again', async () => {
  const output = z.string().transform((): string => {
    throw new WorkerLostError('not really', { started: 'no' })
  })
  const desk = contract('desk', { greet: procedure({ output }) })
  const mesh = await open(2)
  let runs = 0
  for (const worker of mesh.workers) {
    worker.serve(desk, {
      greet: () => {
        runs++
        return 'hello'
      },
    })
    await worker.ready()
  }
  await expect(mesh.primary.client(desk).greet()).rejects.toMatchObject({ code: 'HANDLER_ERROR' })
  expect(runs).toBe(1)
})

test('what middleware adds to the context can not change its prototype', async () => {
  const desk = contract('desk', { greet: procedure({ output: z.boolean() }) })
  const mesh = await open(1)
  mesh.workers[0]
    ?.use(async (_call, next) => next(JSON.parse('{ "__proto__": { "signal": null } }') as object))
    .serve(desk, { greet: (_input, { signal }) => signal instanceof AbortSignal })
  await mesh.workers[0]?.ready()
  expect(await mesh.primary.client(desk).greet()).toBe(true)
})

test('fresh clients share their turns: two workers get the same number of calls', async () => {
  const desk = contract('desk', { who: procedure({ output: z.int() }) })
  const mesh = await open(2)
  for (const worker of mesh.workers) {
    worker.serve(desk, { who: () => worker.number })
    await worker.ready()
  }
  const answers: number[] = []
  for (let n = 0; n < 10; n++) answers.push(await mesh.primary.client(desk).who())
  expect(answers.filter((number) => number === 1)).toHaveLength(5)
})

test('two clusters live in one process without knowing of each other', async () => {
  const desk = contract('desk', { who: procedure({ output: z.string() }) })
  const meshes = await Promise.all([open(1), open(1)])
  for (const [n, mesh] of meshes.entries()) {
    mesh.workers[0]?.serve(desk, { who: () => `of mesh ${n}` })
    await mesh.workers[0]?.ready()
  }
  expect(await Promise.all(meshes.map((mesh) => mesh.primary.client(desk).who()))).toEqual([
    'of mesh 0',
    'of mesh 1',
  ])
})

test('a source that has nothing to say is closed when its reader leaves', async () => {
  const desk = contract('desk', { watch: stream({ output: z.int() }) })
  const mesh = await open(1)
  let closed = false
  mesh.workers[0]?.serve(desk, {
    watch: () => {
      const values = [1]
      return {
        [Symbol.asyncIterator]: () => ({
          next: () => {
            const value = values.pop()
            if (value !== undefined) return Promise.resolve({ value, done: false as const })
            return new Promise<never>(() => {})
          },
          async return() {
            closed = true
            return { value: undefined, done: true as const }
          },
        }),
      }
    },
  })
  await mesh.workers[0]?.ready()
  for await (const value of mesh.primary.client(desk).watch()) {
    expect(value).toBe(1)
    break
  }
  await expect.poll(() => closed).toBe(true)
})

const depot = contract('depot', {
  take: stream({ upload: z.any(), output: z.int() }),
  give: stream({ output: z.any() }),
})

test('a Node stream that is never read is closed: an upload that is refused, and an answer that nobody waits for any more', async () => {
  const mesh = await open(1)
  const answer = new Readable({ objectMode: true })
  const [entered, gate] = [deferred(), deferred()]
  mesh.workers[0]?.serve(depot, {
    async *take() {},
    async give() {
      entered.resolve()
      await gate.promise
      return answer
    },
  })
  await mesh.workers[0]?.ready()
  const upload = new Readable({ objectMode: true })
  const signal = AbortSignal.abort()
  const refused = mesh.primary.client(depot).take(undefined, { upload, signal })
  expect((await failureOf(refused.next())).code).toBe('CANCELLED')
  const leaving = new AbortController()
  const left = mesh.primary.client(depot).give(undefined, { signal: leaving.signal }).next()
  await entered.promise
  leaving.abort()
  await failureOf(left)
  await until(() => mesh.workers[0]?.peer.serving === 0, 'it is told')
  gate.resolve()
  await until(() => upload.destroyed && answer.destroyed, 'both are closed')
})

test('an upload that middleware lets nobody read is closed', async () => {
  const mesh = await open(1)
  const refuse = () => Promise.reject(new Error('not today'))
  const guarded = mesh.primary.client(depot, { use: [refuse] })
  const [refused, left] = [new Readable({ objectMode: true }), new Readable({ objectMode: true })]
  await expect(guarded.take(undefined, { upload: refused }).next()).rejects.toThrow('not today')
  await guarded.take(undefined, { upload: left }).return?.()
  await until(() => refused.destroyed && left.destroyed, 'both are closed')
})

test('an upload that can’t be closed does not keep its call from ending', async () => {
  const mesh = await open(1)
  const locked = new ReadableStream()
  locked.getReader()
  for (const upload of ['text', locked]) {
    const leaving = new AbortController()
    const { signal } = leaving
    // No worker is ready, so it waits for one.
    const waiting = mesh.primary.client(depot).take(undefined, { upload, signal }).next()
    leaving.abort()
    expect((await failureOf(waiting)).code).toBe('CANCELLED')
  }
  expect(mesh.primary.pending).toBe(0)
})

test('an upload may be text, which is a stream of its characters; what is no stream is refused by name', async () => {
  const mesh = await open(1)
  mesh.workers[0]?.serve(depot, {
    async *take(_input, { upload }) {
      for await (const one of upload) yield String(one).charCodeAt(0)
    },
    async *give() {},
  })
  await mesh.workers[0]?.ready()
  const { take } = mesh.primary.client(depot)
  const codes: number[] = []
  for await (const code of take(undefined, { upload: 'text' })) codes.push(code)
  expect(codes).toEqual([116, 101, 120, 116])
  for (const upload of [5, null, {}]) {
    const refused = take(undefined, { upload: upload as unknown as string[] })
    await expect(refused.next()).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      message: expect.stringMatching(/^depot\.take: .*iterable, got (number|null|object)/),
    })
  }
})

test('a date and a bigint in the same place are two versions of a contract', async () => {
  const dated = contract('desk', { at: procedure({ output: z.object({ at: z.date() }) }) })
  const numbered = contract('desk', { at: procedure({ output: z.object({ at: z.bigint() }) }) })
  const mesh = await open(1)
  mesh.workers[0]?.serve(numbered, { at: () => ({ at: 5n }) })
  await mesh.workers[0]?.ready()
  await expect(mesh.primary.client(dated).at()).rejects.toMatchObject({ code: 'INCOMPATIBLE' })
})
