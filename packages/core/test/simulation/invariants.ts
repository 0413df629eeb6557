// What must hold after every run of the simulation.

import { expect } from 'vitest'
import type { Failed } from '../support.js'
import { TIMEOUT } from './operations.js'

/** The most that one call can run: its first attempt, and one more where it is idempotent. */
const MOST_RUNS = { once: 1, again: 2, count: 1 }

/** What came of a call. */
export interface Call {
  readonly kind: keyof typeof MOST_RUNS
  readonly nonce: number
  readonly controller: AbortController
  /** Whether it can be done in time. */
  readonly feasible: boolean
  settled: number
  /** How long that took. */
  took: number
  values: readonly unknown[]
  expected: readonly unknown[]
  error: Failed | undefined
}

/** What came of a broadcast. */
export interface BroadcastNote {
  readonly goneBefore: ReadonlySet<number>
  settled: number
  took: number
  error?: Failed
  members: readonly number[]
  readySoFar: ReadonlySet<number>
}

/** Deadlines are kept to this many milliseconds. */
const TICK = 1

/** How a call or broadcast may fail when things go wrong around it. */
const EXPECTED_CODES = [
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'NO_WORKER',
  'WORKER_LOST',
  'PEER_CLOSED',
  'UNIMPLEMENTED',
]

/**
 * Every call settles exactly once and in time, with its own answer or with an error that is true.
 *
 * @param runsOf how often each call's handler was entered
 * @param healthy nothing went wrong around it: what has the time for it must succeed
 */
export function checkCalls(
  calls: readonly Call[],
  runsOf: ReadonlyMap<number, number>,
  healthy: boolean,
): void {
  for (const { kind, nonce, feasible, settled, took, values, expected, error } of calls) {
    const what = `${kind} ${nonce}${error ? ` (${error.code}: ${error.message})` : ''}`
    expect(settled, `${what} settles once`).toBe(1)
    expect(took, `${what} settles in time`).toBeLessThanOrEqual(TIMEOUT + TICK)
    const runs = runsOf.get(nonce) ?? 0
    expect(runs, `${what} runs`).toBeLessThanOrEqual(MOST_RUNS[kind])
    if (error === undefined) {
      expect(values, `the answer of ${what}`).toEqual(expected)
      expect(runs, `${what} was answered`).toBeGreaterThan(0)
    } else {
      expect(EXPECTED_CODES, what).toContain(error.code)
      if (error.started === 'no' || error.code === 'NO_WORKER')
        expect(runs, `${what} says that it has not run`).toBe(0)
    }
    if (healthy && feasible) expect(error, `${what} has nothing in its way`).toBeUndefined()
  }
}

/** Each peer hears each publisher's values in order, each at most once. @param heard by who said it to whom */
export function checkPublications(heard: ReadonlyMap<string, readonly number[]>): void {
  for (const [way, numbers] of heard)
    for (const [at, n] of numbers.entries())
      if (at > 0)
        expect(n, `in order, at most once: ${way}`).toBeGreaterThan(numbers[at - 1] as number)
}

/** A receipt tells of members that were ready then, once of each. */
export function checkBroadcasts(broadcasts: readonly BroadcastNote[]): void {
  for (const { goneBefore, settled, took, error, members, readySoFar } of broadcasts) {
    expect(settled, 'a broadcast settles once').toBe(1)
    expect(took, 'a broadcast settles in time').toBeLessThanOrEqual(TIMEOUT + TICK)
    if (error !== undefined) expect(EXPECTED_CODES, error.message).toContain(error.code)
    expect(new Set(members).size, 'one outcome for each member').toBe(members.length)
    for (const member of members) {
      expect(member === 0 || readySoFar.has(member), `member ${member} was ready`).toBe(true)
      expect(goneBefore.has(member), `member ${member} was gone before`).toBe(false)
    }
  }
}
