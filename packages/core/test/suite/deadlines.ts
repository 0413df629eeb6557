// How long a call may take. Time is moved by hand: nothing here waits for a clock.

import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { deferred, failureOf, ManualClock, turn, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

export function describeDeadlines(stage: Stage): void {
  const cases = [
    ['30 seconds by default', 'hold', undefined, 30_000],
    ['what its procedure says', 'hurry', undefined, 500],
    ['what the call says, if it says more', 'hurry', 2_000, 2_000],
    ['what the call says, if it says less', 'hold', 50, 50],
  ] as const
  test.each(cases)('a call may take %s', async (_name, procedure, timeout, limit) => {
    const clock = new ManualClock()
    const reasons: unknown[] = []
    const wait = (_input: unknown, { signal }: { readonly signal: AbortSignal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason.code))
      started.resolve()
      return new Promise(() => {})
    }
    const started = deferred()
    const { caller, target } = await openPair(stage, { hold: wait, hurry: wait }, { clock })
    let error: Error | undefined
    const client = caller.client(lab, target)
    const call = failureOf(client[procedure](1, timeout === undefined ? {} : { timeout }))
    call.then((failure) => {
      error = failure
    })
    await started.promise
    clock.advance(limit - 1)
    await turn()
    expect(error).toBeUndefined()
    clock.advance(2)
    expect(await call).toMatchObject({ code: 'DEADLINE_EXCEEDED', procedure: `lab.${procedure}` })
    expect(error?.message).toContain(`${limit} ms`)
    await until(() => reasons.length === 1, 'the handler is told')
    expect(reasons).toEqual(['DEADLINE_EXCEEDED'])
  })

  test('the handler knows when its caller stops waiting', async () => {
    const clock = new ManualClock()
    const { caller, target } = await openPair(
      stage,
      { anything: (_input, { deadline }) => deadline },
      { clock },
    )
    clock.advance(1_000)
    const deadline = await caller.client(lab, target).anything(1, { timeout: 250 })
    expect(deadline).toBe(1_250)
  })

  test('C14: an answer that comes too late is dropped and counted, and taken for no other’s', async () => {
    const clock = new ManualClock()
    const started = deferred()
    const answer = deferred<string>()
    const { caller, target } = await openPair(
      stage,
      {
        hold: () => {
          started.resolve()
          return answer.promise
        },
      },
      { clock },
    )
    const client = caller.client(lab, target)
    const call = failureOf(client.hold(1, { timeout: 100 }))
    await started.promise
    // The answer leaves before the news that nobody waits for it can get there.
    answer.resolve('late')
    clock.advance(101)
    const next = client.anything('mine')
    expect((await call).code).toBe('DEADLINE_EXCEEDED')
    expect(await next).toBe('mine')
    await until(() => caller.peer.counters.late === 1, 'the late answer is counted')
  })
}
