import { contract, HandlerError, procedure, stream } from '@clusterwire/core'
import { createMemoryMesh, type MemoryMesh } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const desk = contract('desk', {
  greet: procedure({ input: z.object({ name: z.string() }), output: z.string() }),
  count: stream({ input: z.object({ to: z.int() }), output: z.int() }),
})

async function meshOfOne(): Promise<MemoryMesh> {
  const mesh = await createMemoryMesh({ workers: 1 })
  onTestFinished(() => mesh.close())
  return mesh
}

test('middleware adds to the context that handlers get, and may refuse a request', async () => {
  const mesh = await meshOfOne()
  const [worker] = mesh.workers
  const handled: string[] = []
  worker
    ?.use(async ({ context }, next) => {
      const { user } = context.meta
      if (user === undefined) throw new Error('who are you?')
      return next({ user })
    })
    .use(async ({ context }, next) => next({ shout: context.user.toUpperCase() }))
    .serve(desk, {
      greet: ({ name }, { user, shout }) => {
        handled.push(user)
        return `${name}, from ${shout}`
      },
      async *count({ to }, { user }) {
        for (let n = 1; n <= to; n++) yield user.length * n
      },
    })
  await worker?.ready()
  const client = mesh.primary.client(desk)
  expect(await client.greet({ name: 'Ada' }, { meta: { user: 'bob' } })).toBe('Ada, from BOB')
  await expect(client.greet({ name: 'Ada' })).rejects.toThrow(HandlerError)
  await expect(client.greet({ name: 'Ada' })).rejects.toThrow('who are you?')
  expect(handled).toEqual(['bob'])
  const counted: number[] = []
  for await (const n of client.count({ to: 2 }, { meta: { user: 'bob' } })) counted.push(n)
  expect(counted).toEqual([3, 6])
})

test('middleware of a client runs around each call, the first outermost, and may change what is sent', async () => {
  const mesh = await meshOfOne()
  const [worker] = mesh.workers
  worker?.serve(desk, {
    greet: ({ name }, { meta }) => `${name} ${meta.token ?? ''}`,
    async *count() {},
  })
  await worker?.ready()
  const log: string[] = []
  const client = mesh.primary.client(desk, {
    use: [
      async ({ procedure }, next) => {
        log.push(`> ${procedure}`)
        const answer = await next()
        log.push(`< ${answer}`)
        return answer
      },
      async ({ input, options }, next) =>
        next({
          input: { name: `${(input as { name: string }).name}!` },
          options: { ...options, meta: { token: 't' } },
        }),
    ],
  })
  expect(await client.greet({ name: 'Ada' })).toBe('Ada! t')
  expect(log).toEqual(['> desk.greet', '< Ada! t'])
})

test('middleware of a client may answer by itself, or try again', async () => {
  const mesh = await meshOfOne()
  const [worker] = mesh.workers
  let calls = 0
  worker?.serve(desk, {
    greet: ({ name }) => {
      calls++
      if (calls === 1) throw new Error('not the first time')
      return name
    },
    async *count() {},
  })
  await worker?.ready()
  const again = mesh.primary.client(desk, {
    use: [(_call, next) => next().catch(() => next())],
  })
  expect(await again.greet({ name: 'Ada' })).toBe('Ada')
  const cached = mesh.primary.client(desk, { use: [async () => 'from the cache'] })
  expect(await cached.greet({ name: 'Ada' })).toBe('from the cache')
  expect(calls).toBe(2)
})
