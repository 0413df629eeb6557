// What a handler's own calls inherit from the request that it is handling, without being handed it.

import { setTimeout } from 'node:timers/promises'
import { contract, type HandlerContext, type Procedure, procedure, stream } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { aborted } from '../fixtures/workbench.js'
import { allReady, controller, deferred, failureOf, ManualClock, turn, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

type Context = Pick<HandlerContext<Procedure>, 'deadline' | 'meta' | 'signal'>
type Handler = (input: unknown, context: Context) => unknown

const hop = (name: string) =>
  contract(name, {
    go: procedure({ input: z.any(), output: z.any() }),
    flow: stream({ input: z.any(), output: z.any() }),
  })
/** Served by worker 1, worker 2 and the primary. */
const [first, second, third] = [hop('first'), hop('second'), hop('third')]

interface Hops {
  /** What worker 1 does, given how it asks worker 2. */
  readonly first: (next: ReturnType<typeof clientOf>, context: Context, input: unknown) => unknown
  /** What worker 2 does, given how it asks the primary. Default: asks it */
  readonly second?: (next: ReturnType<typeof clientOf>, context: Context) => unknown
  /** What the primary does in the end. */
  readonly third?: Handler
}

function clientOf(peer: MeshPeer, next: typeof first, to: number | 'primary') {
  return peer.client(next, { to })
}

export function describeScope(createLinks: CreateLinks): void {
  /** A primary that asks worker 1, which asks worker 2, which asks the primary. */
  const opened = async (hops: Hops) => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { clock, workers: 3 })
    const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
    const seen: { readonly at: string; readonly context: Context }[] = []
    const watched = (at: string, run: Handler) => {
      const go: Handler = (input, context) => {
        seen.push({ at, context })
        return run(input, context)
      }
      async function* flow(input: unknown, context: Context) {
        yield await go(input, context)
      }
      return { go, flow }
    }
    const toSecond = clientOf(one, second, 2)
    const toThird = clientOf(two, third, 'primary')
    one.serve(
      first,
      watched('first', (input, context) => hops.first(toSecond, context, input)),
    )
    const askOn: NonNullable<Hops['second']> = (next) => next.go()
    two.serve(
      second,
      watched('second', (_input, context) => (hops.second ?? askOn)(toThird, context)),
    )
    mesh.primary.serve(third, watched('third', hops.third ?? (() => 'done')))
    await allReady(mesh)
    const context = (at: string) => seen.find((one) => one.at === at)?.context as Context
    return { mesh, clock, seen, context, start: mesh.primary.client(first) }
  }
  const hold: Handler = (_input, { signal }) => aborted(signal)

  test('what is left of the deadline goes along, over all hops', async () => {
    const { clock, seen, start } = await opened({
      first: (next) => {
        clock.advance(300)
        return next.go()
      },
      second: (next) => {
        clock.advance(300)
        return next.go()
      },
    })
    expect(await start.go(1, { timeout: 1_000 })).toBe('done')
    expect(seen.map(({ at, context }) => [at, context.deadline])).toEqual([
      ['first', 1_000],
      ['second', 1_000],
      ['third', 1_000],
    ])
  })

  test('a nested call may be given less time, and never more', async () => {
    const { seen, start } = await opened({
      first: (next) => next.go(1, { timeout: 60_000 }),
      second: (next) => next.go(1, { timeout: 50 }),
    })
    await start.go(1, { timeout: 1_000 })
    expect(seen.map(({ context }) => context.deadline)).toEqual([1_000, 1_000, 50])
  })

  test('a handler whose time is up makes no more calls', async () => {
    const failed = deferred<Error>()
    const { clock, seen, start } = await opened({
      first: async (next) => {
        clock.advance(1_001)
        failed.resolve(await failureOf(next.go()))
      },
    })
    expect((await failureOf(start.go(1, { timeout: 1_000 }))).code).toBe('DEADLINE_EXCEEDED')
    expect(await failed.promise).toMatchObject({ procedure: 'second.go' })
    expect(seen).toHaveLength(1)
  })

  test('a caller that cancels ends the whole chain: every handler’s signal aborts', async () => {
    const { seen, start } = await opened({ first: (next) => next.go(), third: hold })
    const leaving = controller()
    const call = failureOf(start.go(1, { signal: leaving.signal }))
    await until(() => seen.length === 3, 'all of them run')
    const signals = seen.map(({ context }) => context.signal)
    leaving.abort()
    expect((await call).code).toBe('CANCELLED')
    await until(() => signals.every((signal) => signal.aborted), 'all are told')
  })

  test('a caller that runs out of time ends the whole chain', async () => {
    const { clock, seen, context, start } = await opened({
      first: (next) => next.go(),
      third: hold,
    })
    const call = failureOf(start.go(1, { timeout: 1_000 }))
    await until(() => seen.length === 3, 'all of them run')
    const { signal } = context('third')
    clock.advance(1_001)
    expect((await call).code).toBe('DEADLINE_EXCEEDED')
    await until(() => signal.aborted, 'the last handler is told')
    expect(signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  })

  test('a caller that dies ends the whole chain', async () => {
    const { mesh, seen } = await opened({ first: (next) => next.go(), third: hold })
    const caller = mesh.workers[2] as MeshPeer
    const call = failureOf(caller.client(first, { to: 1 }).go())
    await until(() => seen.length === 3, 'all of them run')
    const signals = seen.map(({ context }) => context.signal)
    caller.kill()
    await call
    await until(() => signals.every((signal) => signal.aborted), 'all are told')
  })

  test('a cancellation ends what the handler waits for, and what it asks for afterwards', async () => {
    const errors: Error[] = []
    const { seen, start } = await opened({
      first: async (next) => {
        errors.push(await failureOf(next.go()))
        errors.push(await failureOf(next.go()))
        errors.push(await failureOf(next.flow().next()))
      },
      third: hold,
    })
    const leaving = controller()
    const call = failureOf(start.go(1, { signal: leaving.signal }))
    await until(() => seen.length === 3, 'all of them run')
    leaving.abort()
    await call
    await until(() => errors.length === 3, 'the first handler has seen them fail')
    for (const error of errors)
      expect(error).toMatchObject({ code: 'CANCELLED', cause: { code: 'CANCELLED' } })
    expect(seen).toHaveLength(3)
  })

  test('metadata goes along over all hops, and each call may add to it or change it', async () => {
    const { seen, start } = await opened({
      first: (next) => next.go(1, { meta: { tenant: 'mine', via: 'first' } }),
    })
    await start.go(1, { meta: { trace: 't1', tenant: 'yours' } })
    expect(seen.map(({ context }) => ({ ...context.meta }))).toEqual([
      { trace: 't1', tenant: 'yours' },
      { trace: 't1', tenant: 'mine', via: 'first' },
      { trace: 't1', tenant: 'mine', via: 'first' },
    ])
  })

  test('a handler’s own calls inherit across awaits, timers and other detours', async () => {
    const { clock, seen, start } = await opened({
      first: async (next) => {
        await null
        await setTimeout(1)
        await turn()
        clock.advance(10)
        await new Promise<void>((resolve) => process.nextTick(resolve))
        return new Promise((resolve, reject) => {
          setImmediate(() => queueMicrotask(() => next.go().then(resolve, reject)))
        })
      },
    })
    await start.go(1, { timeout: 700, meta: { trace: 't1' } })
    expect(seen[2]?.context.meta).toEqual({ trace: 't1' })
    expect(seen[2]?.context.deadline).toBe(700)
  })

  test('requests that are handled at the same time keep apart', async () => {
    const gates = Array.from({ length: 20 }, () => deferred())
    let waiting = 0
    const { start, seen } = await opened({
      first: async (next, _context, input) => {
        waiting++
        await gates[input as number]?.promise
        return next.go()
      },
      third: (_input, { meta, deadline }) => ({ trace: meta.trace, deadline }),
    })
    const calls = gates.map((_gate, n) =>
      start.go(n, { meta: { trace: `t${n}` }, timeout: 1_000 + n }),
    )
    await until(() => waiting === 20, 'all of them wait')
    for (const gate of [...gates].reverse()) gate.resolve()
    expect(await Promise.all(calls)).toEqual(
      gates.map((_gate, n) => ({ trace: `t${n}`, deadline: 1_000 + n })),
    )
    expect(seen).toHaveLength(60)
  })

  test('a stream’s handler hands on what it came with, and a nested stream carries it, too', async () => {
    const leaving = controller()
    const { mesh, seen, start } = await opened({
      first: async (next) => (await next.flow().next()).value,
      second: async (next) => (await next.flow().next()).value,
      third: hold,
    })
    const flow = start.flow(1, { meta: { trace: 't1' }, signal: leaving.signal })
    const ended = failureOf(flow.next())
    await until(() => seen.length === 3, 'all of them run')
    expect(seen.map(({ context }) => context.meta)).toEqual(Array(3).fill({ trace: 't1' }))
    const signals = seen.map(({ context }) => context.signal)
    leaving.abort()
    expect((await ended).code).toBe('CANCELLED')
    await until(() => signals.every((signal) => signal.aborted), 'all are told')
    await until(() => mesh.primary.pending === 0, 'nothing waits any more')
  })

  test('a generator inherits after each of its yields', async () => {
    const { mesh, seen } = await opened({ first: () => 1 })
    const counter = contract('counter', { count: stream({ output: z.any() }) })
    const worker = mesh.workers[2] as MeshPeer
    const next = clientOf(worker, second, 2)
    worker.serve(counter, {
      async *count() {
        yield await next.go()
        yield await next.go()
      },
    })
    await allReady(mesh)
    const values: unknown[] = []
    for await (const value of mesh.primary
      .client(counter, { to: 3 })
      .count(undefined, { meta: { trace: 't1' } }))
      values.push(value)
    expect(values).toEqual(['done', 'done'])
    expect(seen.map(({ context }) => context.meta)).toEqual(Array(4).fill({ trace: 't1' }))
  })

  test('what a handler leaves running after its answer is not ended, and is on its own from then on', async () => {
    const gate = deferred()
    const left: Promise<unknown>[] = []
    const { clock, seen, context, start } = await opened({
      first: (next) => {
        left.push(next.go())
        left.push(gate.promise.then(() => next.go()))
        return 'answered'
      },
      second: (_next, { signal }) =>
        seen.length === 2 ? Promise.race([gate.promise, aborted(signal)]) : 'on its own',
    })
    const leaving = controller()
    const options = { signal: leaving.signal, timeout: 1_000, meta: { trace: 't1' } }
    expect(await start.go(1, options)).toBe('answered')
    await until(() => seen.length === 2, 'what it has left behind runs')
    leaving.abort()
    await turn()
    expect(context('second').signal.aborted).toBe(false)
    expect(context('second').deadline).toBe(1_000)
    clock.advance(900)
    gate.resolve()
    expect(await Promise.all(left)).toEqual([undefined, 'on its own'])
    expect(seen[2]?.context).toMatchObject({ deadline: 30_900, meta: {} })
  })

  test('a handler that makes its peer’s very first client inherits already', async () => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    const [worker] = mesh.workers
    const seen: unknown[] = []
    worker?.serve(second, {
      go: (_input, { meta, deadline }) => void seen.push(meta, deadline < Number.POSITIVE_INFINITY),
      async *flow() {},
    })
    mesh.primary.serve(third, {
      go: async () => {
        await turn()
        await mesh.primary.client(second).go()
      },
      flow: async () => mesh.primary.client(second).go(),
    })
    await allReady(mesh)
    const client = worker?.client(third, { to: 'primary' })
    for await (const _ of client?.flow(0, { meta: { id: '7' } }) ?? []) void _
    await client?.go(0, { meta: { id: '8' } })
    expect(seen).toEqual([{ id: '7' }, true, { id: '8' }, true])
  })

  test('a call that no handler makes inherits nothing', async () => {
    const { seen, start } = await opened({ first: () => 'done' })
    await start.go(1, { meta: { trace: 't1' }, timeout: 50 })
    await start.go(2)
    expect(seen[1]?.context).toMatchObject({ deadline: 30_000, meta: {} })
  })

  test('a handler’s call within another cluster inherits nothing', async () => {
    const other = await opened({ first: () => 'done' })
    const { start } = await opened({ first: () => other.start.go(1) })
    expect(await start.go(1, { meta: { trace: 't1' }, timeout: 50 })).toBe('done')
    expect(other.seen[0]?.context).toMatchObject({ deadline: 30_000, meta: {} })
  })

  test.each([
    ['a number', { n: 1 }],
    ['nothing', { n: undefined }],
    ['an object', { n: {} }],
    ['a value for "__proto__"', JSON.parse('{"__proto__":"polluted"}')],
  ])('metadata with %s is refused, and nothing is sent', async (_name, meta) => {
    const { seen, start } = await opened({ first: () => 'done' })
    for (const call of [start.go(1, { meta }), start.flow(1, { meta }).next()]) {
      const error = await failureOf(call)
      expect(error).toMatchObject({ code: 'INVALID_OPTION' })
      expect(error.message).toMatch(/first\.(go|flow): metadata/)
    }
    expect(seen).toEqual([])
  })

  test('metadata may have any other names and texts, and a handler can not change it', async () => {
    const { seen, start } = await opened({ first: (next) => next.go() })
    const meta = { constructor: 'a', toString: 'b', '': '', 'grüße 日本': 'x'.repeat(100_000) }
    await start.go(1, { meta: meta as unknown as Record<string, string> })
    for (const { context } of seen) {
      expect(Object.entries(context.meta)).toEqual(Object.entries(meta))
      expect(Object.isFrozen(context.meta)).toBe(true)
    }
  })
}
