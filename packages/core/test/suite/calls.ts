// A call and its answer.

import { contract, procedure } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { allReady, controller, deferred, failureOf, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

class Price {
  readonly cents: number

  constructor(cents: number) {
    this.cents = cents
  }

  get euros(): number {
    return this.cents / 100
  }
}

export function describeCalls(stage: Stage): void {
  test('a call gets the answer of the handler', async () => {
    const { caller, callee, target } = await openPair(stage)
    const answer = await caller.client(lab, target).greet({ name: 'Ada', times: 2 })
    expect(answer).toEqual({ text: 'Ada Ada', by: callee.number })
  })

  test('the handler is told who calls', async () => {
    const seen: unknown[] = []
    const { caller, target } = await openPair(stage, {
      anything: (_value, { from }) => void seen.push({ number: from.number, id: from.id }),
    })
    await caller.client(lab, target).anything(1)
    expect(seen).toEqual([{ number: caller.number, id: caller.id }])
  })

  test('a handler may look at nothing but its input, and answer at once or later', async () => {
    const { caller, target } = await openPair(stage, {
      anything: (value) => value,
      hold: async (value) => value,
    })
    const client = caller.client(lab, target)
    expect(await client.anything('at once')).toBe('at once')
    expect(await client.hold('later')).toBe('later')
  })

  test('must pass 13: values arrive as what they were, or as docs/values.md says', async () => {
    const { caller, target } = await openPair(stage)
    const { anything } = caller.client(lab, target)
    const cause = Object.assign(new RangeError('deeper'), { code: 'E_DEEP' })
    const value = {
      at: new Date(1e12),
      big: 2n ** 80n,
      bytes: new Uint8Array([0, 255]),
      floats: new Float64Array([0.1, -0]),
      words: new Uint16Array([1, 65_535]),
      error: Object.assign(new TypeError('failed', { cause }), { code: 'E_FAILED' }),
      map: new Map([['a', new Set([1])]]),
      nothing: undefined,
      zero: -0,
      text: 'grüße, 日本 \u{1f600}\n',
    }
    const arrived = await anything(value)
    expect(arrived).toStrictEqual(value)
    expect(arrived.error).toMatchObject({
      constructor: TypeError,
      code: 'E_FAILED',
      cause: { constructor: RangeError, message: 'deeper', code: 'E_DEEP' },
    })
    expect(await anything(Buffer.from([1, 2]))).toStrictEqual(new Uint8Array([1, 2]))
    expect(await anything(new Price(5))).toStrictEqual({ cents: 5 })
    const cyclic: Record<string, unknown> = {}
    cyclic.self = { again: cyclic }
    expect(await failureOf(anything(cyclic))).toMatchObject({ code: 'INVALID_VALUE' })
    expect(await anything('next')).toBe('next')
  })

  test('a thousand calls in flight each get their own answer, in whatever order they are given', async () => {
    const gates = Array.from({ length: 1000 }, () => deferred<number>())
    let started = 0
    const { caller, target } = await openPair(stage, {
      anything: (n) => {
        started++
        return gates[n]?.promise
      },
    })
    const client = caller.client(lab, target)
    const calls = gates.map((_gate, n) => client.anything(n))
    await until(() => started === 1000, 'all of them run')
    expect(caller.pending).toBe(1000)
    for (let n = 0; n < 1000; n++) gates[(n * 617) % 1000]?.resolve(((n * 617) % 1000) + 0.5)
    expect(await Promise.all(calls)).toEqual(gates.map((_gate, n) => n + 0.5))
  })

  test('a method works when it has been taken off its client', async () => {
    const { caller, target } = await openPair(stage)
    const { greet } = caller.client(lab, target)
    expect((await greet({ name: 'Ada', times: 1 })).text).toBe('Ada')
  })

  test('transforms of a schema are applied once, on the handler’s side', async () => {
    const texts = contract('texts', {
      measure: procedure({
        input: z.object({ text: z.string().transform((text) => text.length) }),
        output: z.int().transform((length) => `${length} letters`),
      }),
    })
    const { mesh, caller, callee, target } = await openPair(stage)
    const seen: unknown[] = []
    callee.serve(texts, {
      measure: ({ text }) => {
        seen.push(text)
        return text
      },
    })
    await allReady(mesh)
    expect(await caller.client(texts, target).measure({ text: 'four' })).toBe('4 letters')
    expect(seen).toEqual([4])
  })

  test('schemas that take their time are waited for on both sides', async () => {
    const slow = z.string().refine(async (text) => text !== 'bad', 'is bad')
    const slowly = contract('slowly', { say: procedure({ input: slow, output: slow }) })
    const { mesh, caller, callee, target } = await openPair(stage)
    callee.serve(slowly, { say: (text) => (text === 'turn' ? 'bad' : text) })
    await allReady(mesh)
    const client = caller.client(slowly, target)
    expect(await client.say('good')).toBe('good')
    await expect(client.say('bad')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(client.say('turn')).rejects.toMatchObject({ code: 'INVALID_RESPONSE' })
  })

  test('a procedure without schemas is called with nothing and answers nothing', async () => {
    const bell = contract('bell', { ring: procedure() })
    const { mesh, caller, callee, target } = await openPair(stage)
    let rung = 0
    callee.serve(bell, { ring: () => ++rung })
    await allReady(mesh)
    expect(await caller.client(bell, target).ring()).toBeUndefined()
    expect(rung).toBe(1)
  })

  test('hundreds of calls may share one signal without a warning, and let go of it', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on('warning', note)
    const { caller, target } = await openPair(stage)
    const { signal } = controller()
    const client = caller.client(lab, target)
    await Promise.all(Array.from({ length: 300 }, (_, n) => client.anything(n, { signal })))
    process.off('warning', note)
    expect(warnings).toEqual([])
  })
}
