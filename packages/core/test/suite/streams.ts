// Streams in either direction, and every way in which they end.

import { contract, stream } from '@clusterwire/core'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { aborted } from '../fixtures/workbench.js'
import { allReady, controller, deferred, failureOf, ManualClock, turn, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

/** All that an iterable gives, and how it ends. */
async function drain<T>(values: AsyncIterable<T>): Promise<{ values: T[]; code?: unknown }> {
  const read: T[] = []
  try {
    for await (const value of values) read.push(value)
  } catch (error) {
    return { values: read, code: (error as { readonly code?: unknown }).code }
  }
  return { values: read }
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

export function describeStreams(stage: Stage): void {
  test('values come in order, and then the end', async () => {
    const { caller, target } = await openPair(stage)
    const client = caller.client(lab, target)
    expect(await drain(client.count({ to: 500 }))).toEqual({ values: upTo(500) })
    expect(await drain(client.count({ to: 0 }))).toEqual({ values: [] })
  })

  test('values may be asked for before they are there', async () => {
    const { caller, target } = await openPair(stage)
    const count = caller.client(lab, target).count({ to: 3 })
    const results = await Promise.all([1, 2, 3, 4, 5].map(() => count.next()))
    expect(results.map(({ value }) => value)).toEqual([1, 2, 3, undefined, undefined])
    expect(results.map(({ done }) => done)).toEqual([false, false, false, true, true])
  })

  test('bytes come as bytes', async () => {
    const { caller, target } = await openPair(stage)
    const { values } = await drain(caller.client(lab, target).pieces({ count: 3, size: 100_000 }))
    expect(values.map((piece) => piece.constructor)).toEqual(Array(3).fill(Uint8Array))
    for (const [n, piece] of values.entries())
      expect(Buffer.from(piece).equals(Buffer.alloc(100_000, n))).toBe(true)
  })

  test('an upload is awaited for its one result', async () => {
    const { caller, target } = await openPair(stage)
    const client = caller.client(lab, target)
    expect(await client.sum(undefined, { upload: [1, 2, 3] })).toEqual({ total: 6 })
    async function* later() {
      for (const n of upTo(100)) yield n
    }
    expect(await client.sum(undefined, { upload: later() })).toEqual({ total: 5050 })
    expect(await client.sum(undefined, { upload: [] })).toEqual({ total: 0 })
  })

  test('an upload that is awaited twice gives its result twice', async () => {
    const { caller, target } = await openPair(stage)
    const sum = caller.client(lab, target).sum(undefined, { upload: [1, 2] })
    expect(await Promise.all([sum, sum])).toEqual([{ total: 3 }, { total: 3 }])
    expect(await sum).toEqual({ total: 3 })
  })

  test('values go both ways at once', async () => {
    const { caller, target } = await openPair(stage)
    const more = [deferred<number>(), deferred<number>()] as const
    async function* upload() {
      for (const { promise } of more) yield await promise
    }
    const doubled = caller.client(lab, target).double(undefined, { upload: upload() })
    const first = doubled.next()
    more[0].resolve(4)
    expect(await first).toEqual({ value: 8, done: false })
    const second = doubled.next()
    more[1].resolve(5)
    expect(await second).toEqual({ value: 10, done: false })
    expect(await doubled.next()).toEqual({ value: undefined, done: true })
  })

  test('leaving the loop ends the producer: its finally runs and its signal aborts', async () => {
    const ended = deferred<boolean>()
    const { caller, target } = await openPair(stage, {
      async *count(_input, { signal }) {
        try {
          for (let n = 1; ; n++) yield n
        } finally {
          ended.resolve(signal.aborted)
        }
      },
    })
    for await (const n of caller.client(lab, target).count({ to: 0 })) if (n === 3) break
    expect(await ended.promise).toBe(true)
  })

  test('a producer that waits for its signal is ended by it', async () => {
    const ended = deferred<unknown>()
    const { caller, target } = await openPair(stage, {
      async *count(_input, { signal }) {
        yield 1
        await aborted(signal).catch((reason) => ended.resolve(reason.code))
      },
    })
    for await (const n of caller.client(lab, target).count({ to: 0 })) if (n === 1) break
    expect(await ended.promise).toBe('CANCELLED')
  })

  test('aborting ends the loop with CANCELLED, and the producer', async () => {
    const ended = deferred()
    const { caller, target } = await openPair(stage, {
      async *count() {
        try {
          for (let n = 1; ; n++) {
            yield n
            await turn()
          }
        } finally {
          ended.resolve()
        }
      },
    })
    const leave = controller()
    const count = caller.client(lab, target).count({ to: 0 }, { signal: leave.signal })
    await count.next()
    leave.abort(new Error('enough'))
    expect((await drain(count)).code).toBe('CANCELLED')
    await ended.promise
    const early = AbortSignal.abort()
    expect(await drain(caller.client(lab, target).count({ to: 1 }, { signal: early }))).toEqual({
      values: [],
      code: 'CANCELLED',
    })
  })

  test('a stream that nobody reads never begins, and one that is left before never will', async () => {
    const count = vi.fn()
    const { caller, target } = await openPair(stage, { count })
    const client = caller.client(lab, target)
    client.count({ to: 1 })
    const left = client.count({ to: 1 })
    await left.return?.()
    expect(await drain(left)).toEqual({ values: [] })
    await client.anything(1)
    expect(count).not.toHaveBeenCalled()
  })

  test('a stream that is left while it begins does not go on behind its reader’s back', async () => {
    let produced = 0
    const { caller, callee, target } = await openPair(stage, {
      async *count() {
        for (;;) {
          yield ++produced
          await turn()
        }
      },
    })
    const client = caller.client(lab, target)
    const count = client.count({ to: 1 })
    const first = count.next()
    await count.return?.()
    expect((await first).done).toBe(true)
    await client.anything(1)
    await until(() => callee.peer.serving === 0 && caller.pending === 0, 'it is over')
  })

  test('a producer’s error ends the stream after all that came before', async () => {
    const { caller, target } = await openPair(stage, {
      async *count() {
        yield* upTo(5)
        throw new Error('ran dry')
      },
    })
    expect(await drain(caller.client(lab, target).count({ to: 0 }))).toEqual({
      values: upTo(5),
      code: 'HANDLER_ERROR',
    })
  })

  test('a declared error ends a stream with its code and its data', async () => {
    const wells = contract('wells', {
      draw: stream({ output: z.int(), errors: { DRY: z.object({ depth: z.int() }) } }),
    })
    const { mesh, caller, callee, target } = await openPair(stage)
    callee.serve(wells, {
      async *draw(_input, { errors }) {
        yield 1
        throw errors.DRY({ depth: 12 })
      },
    })
    await allReady(mesh)
    const draw = caller.client(wells, target).draw()
    await draw.next()
    const error = await failureOf(draw.next())
    expect(error).toMatchObject({ code: 'DRY', data: { depth: 12 }, procedure: 'wells.draw' })
  })

  test.each([
    ['does not fit', 'four', 'INVALID_RESPONSE'],
    ['can not be sent', () => 4, 'INVALID_VALUE'],
  ])(
    'a value that %s ends the stream as an error, after those before it',
    async (_name, bad, code) => {
      const ended = deferred()
      const loose = contract('loose', { values: stream({ output: z.any() }) })
      const strict = contract('loose', {
        values: stream({ output: z.union([z.int(), z.function()]) as unknown as z.ZodAny }),
      })
      const { mesh, caller, callee, target } = await openPair(stage)
      callee.serve(strict, {
        async *values() {
          try {
            yield 1
            yield 2
            yield bad
          } finally {
            ended.resolve()
          }
        },
      })
      await allReady(mesh)
      expect(await drain(caller.client(loose, target).values())).toEqual({ values: [1, 2], code })
      await ended.promise
    },
  )

  test('a producer that dies ends the stream as WORKER_LOST, never as a clean end', async () => {
    const { caller, target, calleeDies } = await openPair(
      stage,
      {
        async *count() {
          yield* upTo(3)
          await new Promise(() => {})
        },
      },
      { clock: new ManualClock() },
    )
    const count = caller.client(lab, target).count({ to: 0 })
    const first = [await count.next(), await count.next(), await count.next()]
    calleeDies()
    const { values, code } = await drain(count)
    expect([...first.map(({ value }) => value), ...values]).toEqual(upTo(3))
    expect(code).toBe('WORKER_LOST')
  })

  test('a producer whose reader dies is ended', async () => {
    const ended = deferred()
    const { caller, target, callerDies } = await openPair(stage, {
      async *count() {
        try {
          for (let n = 1; ; n++) {
            yield n
            await turn()
          }
        } finally {
          ended.resolve()
        }
      },
    })
    const count = caller.client(lab, target).count({ to: 0 })
    await count.next()
    callerDies()
    await ended.promise
    expect((await drain(count)).code).toBe('WORKER_LOST')
  })

  test('input and upload that do not fit are refused with procedure, field and reason', async () => {
    const count = vi.fn()
    const seen = deferred<unknown>()
    const { caller, target } = await openPair(stage, {
      count,
      async sum(_input, { upload }) {
        seen.resolve(await drain(upload))
        return { total: 0 }
      },
    })
    const client = caller.client(lab, target)
    const input = await failureOf(client.count({ to: 'all' as unknown as number }).next())
    expect(input).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'lab.count' })
    expect(input.message).toMatch(/lab\.count: .*to: .*number/)
    expect(count).not.toHaveBeenCalled()
    const upload = [1, 2, 'three' as unknown as number, 4]
    const error = await failureOf(client.sum(undefined, { upload }))
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'lab.sum' })
    expect(error.message).toMatch(/lab\.sum: .*number/)
    expect(await seen.promise).toMatchObject({ code: 'CANCELLED' })
  })

  test('an upload that the handler’s version of the schema refuses is the caller’s mistake, not the handler’s', async () => {
    const strict = contract('strict', { sum: stream({ upload: z.int().max(9), output: z.int() }) })
    const lax = contract('strict', { sum: stream({ upload: z.int().max(99), output: z.int() }) })
    const { caller, callee, target, mesh } = await openPair(stage)
    callee.serve(strict, {
      async sum(_input, { upload }) {
        let sum = 0
        for await (const n of upload) sum += n
        return sum
      },
    })
    await allReady(mesh)
    const error = await failureOf(caller.client(lax, target).sum(undefined, { upload: [1, 50] }))
    expect(error).toMatchObject({ code: 'INCOMPATIBLE', procedure: 'strict.sum' })
  })

  test('an upload whose source throws fails the call; the handler does not take it for the end', async () => {
    const seen = deferred<unknown>()
    const { caller, target } = await openPair(stage, {
      async sum(_input, { upload }) {
        const read = await drain(upload)
        seen.resolve(read.code)
        return { total: read.values.length }
      },
    })
    async function* broken() {
      yield 1
      throw new Error('disk full')
    }
    const error = await failureOf(caller.client(lab, target).sum(undefined, { upload: broken() }))
    expect(error.message).toBe('disk full')
    expect(await seen.promise).toBe('CANCELLED')
  })

  test('an upload whose caller dies does not look complete to the handler', async () => {
    const seen = deferred<unknown>()
    const started = deferred()
    const { caller, target, callerDies } = await openPair(stage, {
      async sum(_input, { upload }) {
        started.resolve()
        seen.resolve((await drain(upload)).code)
        return { total: 0 }
      },
    })
    async function* endless() {
      yield 1
      await new Promise(() => {})
    }
    const call = failureOf(caller.client(lab, target).sum(undefined, { upload: endless() }))
    await started.promise
    callerDies()
    expect(await seen.promise).toBe('CANCELLED')
    await call
  })

  test('a handler that has had enough answers, and the upload stops', async () => {
    const stopped = deferred()
    const { caller, target } = await openPair(stage, {
      async sum(_input, { upload }) {
        for await (const n of upload) if (n === 3) break
        return { total: 3 }
      },
    })
    async function* endless() {
      try {
        for (let n = 1; ; n++) {
          yield n
          await turn()
        }
      } finally {
        stopped.resolve()
      }
    }
    expect(await caller.client(lab, target).sum(undefined, { upload: endless() })).toEqual({
      total: 3,
    })
    await stopped.promise
  })

  test('a stream with an upload is refused without one', async () => {
    const { caller, target } = await openPair(stage)
    const sum = caller.client(lab, target).sum as unknown as () => PromiseLike<unknown>
    const error = await failureOf(sum())
    expect(error.code).toBe('INVALID_OPTION')
    expect(error.message).toMatch(/lab\.sum.*upload/)
  })

  test('a stream of several values can not be awaited as if it gave one', async () => {
    const ended = deferred()
    const { caller, target } = await openPair(stage, {
      async *double() {
        try {
          yield 1
          yield 2
          yield 3
        } finally {
          ended.resolve()
        }
      },
    })
    const error = await failureOf(caller.client(lab, target).double(undefined, { upload: [] }))
    expect(error.code).toBe('INVALID_RESPONSE')
    expect(error.message).toContain('more than one value')
    await ended.promise
  })

  test('a stream may take as long as it likes, unless it is told otherwise', async () => {
    const clock = new ManualClock()
    const ended = deferred<unknown>()
    const { caller, target } = await openPair(
      stage,
      {
        async *count({ to }, { signal }) {
          yield 1
          if (to === 1) await aborted(signal).catch((reason) => ended.resolve(reason.code))
          yield 2
        },
      },
      { clock },
    )
    const client = caller.client(lab, target)
    const unlimited = client.count({ to: 2 })
    await unlimited.next()
    clock.advance(365 * 24 * 3_600_000)
    expect(await unlimited.next()).toEqual({ value: 2, done: false })
    await unlimited.return?.()
    const limited = client.count({ to: 1 }, { timeout: 100 })
    await limited.next()
    clock.advance(101)
    expect((await failureOf(limited.next())).code).toBe('DEADLINE_EXCEEDED')
    expect(await ended.promise).toBe('DEADLINE_EXCEEDED')
    const refused = await failureOf(client.count({ to: 1 }, { timeout: -1 }).next())
    expect(refused.code).toBe('INVALID_OPTION')
  })

  test('a handler that returns one value gives a stream of one', async () => {
    const { caller, target } = await openPair(stage, { count: async () => 7 })
    expect(await drain(caller.client(lab, target).count({ to: 0 }))).toEqual({ values: [7] })
  })

  test('a stream that nobody serves is UNIMPLEMENTED', async () => {
    const unserved = contract('unserved', { nothing: stream({ output: z.int() }) })
    const { caller, target } = await openPair(stage)
    const { code } = await failureOf(caller.client(unserved, target).nothing().next())
    expect(code).toBe('UNIMPLEMENTED')
  })
}
