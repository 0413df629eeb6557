// What runs around handlers and around calls.

import { contract, HandlerError, type Middleware, procedure, stream } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, deferred, type Failed, failureOf } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const desk = contract('desk', {
  greet: procedure({ input: z.object({ name: z.string() }), output: z.string() }),
  count: stream({ input: z.object({ to: z.int() }), output: z.int() }),
})

export function describeMiddleware(createLinks: CreateLinks): void {
  const opened = async () => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    return { mesh, worker: mesh.workers[0] as MeshPeer }
  }

  /** A worker that greets behind middleware, and what of its handler has run. */
  const behind = async (middleware: Middleware) => {
    const { mesh, worker } = await opened()
    const greeted: string[] = []
    worker.use(middleware).serve(desk, {
      greet: async ({ name }) => {
        greeted.push(name)
        if (name === 'nobody') throw new Error('who is that?')
        return `hello ${name}`
      },
      async *count({ to }) {
        for (let n = 1; n <= to; n++) yield n
      },
    })
    await allReady(mesh)
    return { client: mesh.primary.client(desk), greeted }
  }
  const ada = { name: 'Ada' }

  test('middleware adds to the context that handlers get, and may refuse a request', async () => {
    const { mesh, worker } = await opened()
    const handled: string[] = []
    worker
      .use(async ({ context }, next) => {
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
    await worker.ready()
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
    const { mesh, worker } = await opened()
    worker.serve(desk, {
      greet: ({ name }, { meta }) => `${name} ${meta.token ?? ''}`,
      async *count() {},
    })
    await worker.ready()
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
    const { mesh, worker } = await opened()
    let calls = 0
    worker.serve(desk, {
      greet: ({ name }) => {
        calls++
        if (calls === 1) throw new Error('not the first time')
        return name
      },
      async *count() {},
    })
    await worker.ready()
    const again = mesh.primary.client(desk, {
      use: [(_call, next) => next().catch(() => next())],
    })
    expect(await again.greet({ name: 'Ada' })).toBe('Ada')
    const cached = mesh.primary.client(desk, { use: [async () => 'from the cache'] })
    expect(await cached.greet({ name: 'Ada' })).toBe('from the cache')
    expect(calls).toBe(2)
  })

  test('a request is passed on once: next() called again throws, and the handler does not run again', async () => {
    const failed = deferred<Failed>()
    const strict = await behind(async (_call, next) => {
      await next()
      return next()
    })
    const error = await failureOf(strict.client.greet(ada))
    expect(error).toMatchObject({ code: 'HANDLER_ERROR', cause: { code: 'INVALID_OPTION' } })
    expect(error.message).toMatch(/desk\.greet: .*next\(\) a second time/)
    expect(strict.greeted).toEqual(['Ada'])
    const caught = await behind(async (_call, next) => {
      const passed = next()
      try {
        next()
      } catch (thrown) {
        failed.resolve(thrown as Failed)
      }
      return passed
    })
    expect(await caught.client.greet(ada)).toBe('hello Ada')
    expect(await failed.promise).toMatchObject({ code: 'INVALID_OPTION', procedure: 'desk.greet' })
    expect(caught.greeted).toEqual(['Ada'])
  })

  test('a request that failed behind middleware is not passed on again either', async () => {
    const { client, greeted } = await behind((_call, next) => next().catch(() => next()))
    const error = await failureOf(client.greet({ name: 'nobody' }))
    expect(error.cause).toMatchObject({ code: 'INVALID_OPTION' })
    expect(greeted).toEqual(['nobody'])
  })

  test('next() called after the middleware has returned throws, and no handler runs', async () => {
    let late: (() => unknown) | undefined
    const { client, greeted } = await behind(async (_call, next) => {
      late = next
      return { output: 'from the cache' }
    })
    expect(await client.greet(ada)).toBe('from the cache')
    expect(late).toThrow(/desk\.greet: .*next\(\) after it had returned/)
    expect(greeted).toEqual([])
  })

  test('middleware may answer by itself, or change the answer; the output schema holds for it, too', async () => {
    const { client, greeted } = await behind(async ({ input }, next) => {
      const { name } = input as typeof ada
      if (name === 'me') return { output: 'from the cache' }
      if (name === 'wrong') return { output: 7 }
      const { output } = await next()
      return { output: `${output}!` }
    })
    expect(await client.greet({ name: 'me' })).toBe('from the cache')
    expect(await client.greet(ada)).toBe('hello Ada!')
    expect((await failureOf(client.greet({ name: 'wrong' }))).code).toBe('INVALID_RESPONSE')
    expect(greeted).toEqual(['Ada'])
  })

  test('middleware may answer a stream by itself', async () => {
    const { client } = await behind(async () => ({
      output: (async function* () {
        yield 7
      })(),
    }))
    const got: number[] = []
    for await (const n of client.count({ to: 2 })) got.push(n)
    expect(got).toEqual([7])
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['the bare output', 'hello'],
    ['an object that is no answer', {}],
  ])('middleware that returns %s fails the request, with or without next()', async (...row) => {
    const [, returned] = row
    const without = await behind(async () => returned as never)
    const withNext = await behind(async (_call, next) => {
      await next()
      return returned as never
    })
    for (const { client } of [without, withNext]) {
      const error = await failureOf(client.greet(ada))
      expect(error).toMatchObject({ code: 'HANDLER_ERROR', cause: { code: 'INVALID_OPTION' } })
      expect(error.message).toMatch(/desk\.greet: middleware must return what next\(\) gave/)
      const ofStream = await failureOf(client.count({ to: 1 }).next())
      expect(ofStream).toMatchObject({ code: 'HANDLER_ERROR', cause: { code: 'INVALID_OPTION' } })
    }
    expect([without.greeted, withNext.greeted]).toEqual([[], ['Ada']])
  })

  test('of a handler that middleware does not wait for, what it gives and what it throws are dropped', async () => {
    const { client, greeted } = await behind(async (_call, next) => {
      next()
      return { output: 'at once' }
    })
    expect(await client.greet(ada)).toBe('at once')
    expect(await client.greet({ name: 'nobody' })).toBe('at once')
    expect(greeted).toEqual(['Ada', 'nobody'])
  })
}
