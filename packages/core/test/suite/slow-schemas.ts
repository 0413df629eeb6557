// Asynchronous schemas: what they are given to check may take as long as the call may, and no longer.

import { contract, procedure, type Schema, stream } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, controller, deferred, failureOf, ManualClock, turn } from '../support.js'
import { openPair, type Stage } from './scene.js'

/** A contract whose checks are over when the test says so. */
function slowContract() {
  const verdict = deferred<{ readonly value: number }>()
  const pending: Schema<number, number> = {
    '~standard': { version: 1, vendor: 'test', validate: () => verdict.promise },
  }
  const slow = contract('slow', {
    call: procedure({ input: pending, output: z.int() }),
    flow: stream({ input: pending, output: z.int(), timeout: 1_000 }),
  })
  return { slow, verdict }
}

/** The same without a check, for the side that serves. */
const quick = contract('slow', {
  call: procedure({ input: z.int(), output: z.int() }),
  flow: stream({ input: z.int(), output: z.int() }),
})

export function describeSlowSchemas(stage: Stage): void {
  const opened = async () => {
    const clock = new ManualClock()
    const pair = await openPair(stage, {}, { clock })
    const { slow, verdict } = slowContract()
    const got: number[] = []
    pair.callee.serve(quick, {
      call: (n) => {
        got.push(n)
        return n
      },
      async *flow(n) {
        got.push(n)
        yield n
      },
    })
    await allReady(pair.mesh)
    return { clock, got, verdict, client: pair.caller.client(slow, pair.target) }
  }

  test('a check that is not over when time is up ends the call, and the stream', async () => {
    const { clock, got, client } = await opened()
    const called = failureOf(client.call(1, { timeout: 50 }))
    const streamed = failureOf(client.flow(2).next())
    clock.advance(49)
    await turn()
    clock.advance(2)
    expect(await called).toMatchObject({ code: 'DEADLINE_EXCEEDED', procedure: 'slow.call' })
    clock.advance(1_000)
    expect(await streamed).toMatchObject({ code: 'DEADLINE_EXCEEDED', procedure: 'slow.flow' })
    expect(got).toEqual([])
  })

  test('aborting ends both while they are being checked, and nothing is sent when the check is over after all', async () => {
    const { got, verdict, client } = await opened()
    const leaving = controller()
    const { signal } = leaving
    const called = failureOf(client.call(1, { signal }))
    const streamed = failureOf(client.flow(2, { signal }).next())
    leaving.abort(new Error('enough'))
    for (const error of [await called, await streamed])
      expect(error).toMatchObject({ code: 'CANCELLED', cause: { message: 'enough' } })
    verdict.resolve({ value: 3 })
    await turn()
    expect(got).toEqual([])
    expect(await client.call(4)).toBe(4)
    expect(await client.flow(5).next()).toEqual({ value: 5, done: false })
  })
}
