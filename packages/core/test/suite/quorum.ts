// Gathers that need not wait for everyone.

import { contract, procedure, type Receipt } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  allReady,
  controller,
  type Deferred,
  deferred,
  failureOf,
  ManualClock,
  turn,
  until,
} from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const votes = contract('votes', { cast: procedure({ input: z.any(), output: z.int() }) })

export function describeQuorum(createLinks: CreateLinks): void {
  /** Workers that vote when they are told to. */
  const opened = async (workers = 4) => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { clock, workers })
    const booths = new Map<number, { readonly gate: Deferred; readonly signal: AbortSignal }>()
    for (const { number, ...worker } of mesh.workers.map((peer) => ({ peer, number: peer.number })))
      worker.peer.serve(votes, {
        cast: async (_input, { signal }) => {
          const gate = deferred()
          booths.set(number, { gate, signal })
          await gate.promise
          return number
        },
      })
    await allReady(mesh)
    const everyoneRuns = () => until(() => booths.size === workers, 'everyone runs')
    const vote = (number: number) => booths.get(number)?.gate.resolve()
    const reject = (number: number) => booths.get(number)?.gate.reject(new Error('invalid'))
    const told = () =>
      [...booths]
        .filter(([, { signal }]) => signal.aborted)
        .map(([n]) => n)
        .sort()
    return { mesh, clock, cast: mesh.primary.all(votes).cast, everyoneRuns, vote, reject, told }
  }
  const statuses = ({ outcomes }: Pick<Receipt<unknown>, 'outcomes'>) =>
    Object.fromEntries(outcomes.map(({ member, status }) => [member.number, status]))

  test('with a quorum it is over as soon as so many have applied; the others are cancelled and told', async () => {
    const { mesh, cast, everyoneRuns, vote, told } = await opened()
    let over = false
    const gather = cast(1, { quorum: 2 }).finally(() => {
      over = true
    })
    await everyoneRuns()
    vote(3)
    await until(() => mesh.primary.pending === 3, 'the vote has come')
    await turn()
    expect(over).toBe(false)
    vote(2)
    const receipt = await gather
    expect(statuses(receipt)).toEqual({
      1: 'cancelled',
      2: 'applied',
      3: 'applied',
      4: 'cancelled',
    })
    expect([receipt.ended, receipt.ok, receipt.values]).toEqual(['quorum', true, [2, 3]])
    await until(() => told().length === 2, 'the others are told')
    expect(told()).toEqual([1, 4])
    for (const number of [1, 4]) vote(number)
  })

  test('with { first: true } it is over with the first that applies it', async () => {
    const { cast, everyoneRuns, vote, told } = await opened()
    const gather = cast(1, { first: true })
    await everyoneRuns()
    vote(4)
    const receipt = await gather
    expect([receipt.ended, receipt.values]).toEqual(['first', [4]])
    expect(statuses(receipt)).toMatchObject({ 1: 'cancelled', 2: 'cancelled', 3: 'cancelled' })
    await until(() => told().length === 3, 'the others are told')
    for (const number of [1, 2, 3]) vote(number)
  })

  test('who fails or dies does not count towards the quorum', async () => {
    const { mesh, cast, everyoneRuns, vote, reject } = await opened()
    const gather = cast(1, { quorum: 2 })
    await everyoneRuns()
    reject(1)
    mesh.workers[1]?.kill()
    vote(3)
    await until(() => mesh.primary.pending === 1, 'only one is waited for')
    vote(4)
    const receipt = await gather
    expect(statuses(receipt)).toEqual({ 1: 'failed', 2: 'exited', 3: 'applied', 4: 'applied' })
    expect([receipt.ended, receipt.ok]).toEqual(['quorum', false])
  })

  test.each([
    ['more than there are', 5, [1, 2, 3, 4]],
    ['more than are left', 4, [1, 2, 3]],
  ])(
    'a quorum of %s waits for all, and says that it was not reached',
    async (_name, quorum, voters) => {
      const { mesh, cast, everyoneRuns, vote } = await opened()
      const gather = cast(1, { quorum })
      await everyoneRuns()
      for (const number of voters) vote(number)
      if (voters.length === 3) mesh.workers[3]?.kill()
      const receipt = await gather
      expect(receipt.ended).toBe('complete')
      expect(receipt.values).toEqual(voters)
    },
  )

  test('a quorum that is reached with the last answer is one all the same', async () => {
    const { cast, everyoneRuns, vote, told } = await opened(2)
    const gather = cast(1, { quorum: 2 })
    await everyoneRuns()
    for (const number of [1, 2]) vote(number)
    expect((await gather).ended).toBe('quorum')
    expect(told()).toEqual([])
  })

  test('a quorum that is not reached in time ends as "timeout", with what has come', async () => {
    const { mesh, clock, cast, everyoneRuns, vote } = await opened(3)
    const gather = cast(1, { quorum: 2, timeout: 100 })
    await everyoneRuns()
    vote(2)
    await until(() => mesh.primary.pending === 2, 'it has come')
    clock.advance(101)
    const receipt = await gather
    expect(statuses(receipt)).toEqual({ 1: 'timed-out', 2: 'applied', 3: 'timed-out' })
    expect([receipt.ended, receipt.ok, receipt.values]).toEqual(['timeout', false, [2]])
    for (const number of [1, 3]) vote(number)
  })

  test('without a quorum it is "complete" when all have answered, and "timeout" when not', async () => {
    const { mesh, clock, cast, everyoneRuns, vote } = await opened(2)
    const first = cast(1)
    await everyoneRuns()
    for (const number of [1, 2]) vote(number)
    expect((await first).ended).toBe('complete')
    const second = cast(1, { timeout: 100 })
    await until(() => mesh.workers.every(({ peer }) => peer.serving === 1), 'they run')
    clock.advance(101)
    expect((await second).ended).toBe('timeout')
    for (const number of [1, 2]) vote(number)
  })

  test('the caller’s own signal ends it as a failure, and all are told', async () => {
    const { cast, everyoneRuns, vote, told } = await opened(3)
    const leaving = controller()
    const gather = failureOf(cast(1, { quorum: 2, signal: leaving.signal }))
    await everyoneRuns()
    leaving.abort(new Error('no time'))
    expect(await gather).toMatchObject({ code: 'CANCELLED', cause: { message: 'no time' } })
    await until(() => told().length === 3, 'all are told')
    for (const number of [1, 2, 3]) vote(number)
  })

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '2'])(
    'a quorum of %s is refused, and nobody is asked',
    async (quorum) => {
      const { mesh, cast } = await opened(2)
      const error = await failureOf(cast(1, { quorum: quorum as number }))
      expect(error).toMatchObject({ code: 'INVALID_OPTION' })
      expect(error.message).toContain('votes.cast')
      expect(mesh.primary.pending).toBe(0)
    },
  )

  test('both "first" and "quorum" are refused, and nobody is asked', async () => {
    const { mesh, cast } = await opened(2)
    const error = await failureOf(cast(1, { first: true, quorum: 2 }))
    expect(error).toMatchObject({ code: 'INVALID_OPTION', procedure: 'votes.cast' })
    expect(error.message).toMatch(/first.*quorum/)
    expect(mesh.primary.pending).toBe(0)
  })

  test('outcomes are in the order of the members, whoever answers first', async () => {
    const { mesh, cast, everyoneRuns, vote } = await opened(3)
    const gather = cast(1)
    await everyoneRuns()
    for (const number of [3, 1, 2]) {
      const { pending } = mesh.primary
      vote(number)
      await until(() => mesh.primary.pending < pending, 'it has come')
    }
    const receipt = await gather
    expect(receipt.outcomes.map(({ member }) => member.number)).toEqual([1, 2, 3])
    expect(receipt.values).toEqual([1, 2, 3])
  })

  test('however it ends, nobody listens to its signal any more', async () => {
    // controller() looks for listeners when the test is over.
    const { mesh, cast, everyoneRuns, vote } = await opened(2)
    const { signal } = controller()
    const [one, all] = [cast(1, { first: true, signal }), cast(1, { signal })]
    await everyoneRuns()
    await until(() => mesh.workers.every(({ peer }) => peer.serving === 2), 'both run')
    const early = controller()
    early.abort(new Error('too late'))
    const error = await failureOf(cast(1, { quorum: 2, signal: early.signal }))
    expect(error).toMatchObject({ code: 'CANCELLED', cause: { message: 'too late' } })
    for (const worker of mesh.workers) worker.kill()
    expect((await one).ended).toBe('complete')
    expect((await all).ended).toBe('complete')
    for (const number of [1, 2]) vote(number)
  })
}
