// The parts of supervision that know nothing of processes, on a clock that stands still; titled by their row in the fault matrix.

import { expect, onTestFinished, test, vi } from 'vitest'
import { type Because, describeExit, type WorkerExit } from '../src/cluster/exit.js'
import { Heartbeat } from '../src/cluster/heartbeat.js'
import { Limits } from '../src/cluster/recycle.js'
import { Restarts } from '../src/cluster/restarts.js'
import type { Vitals } from '../src/cluster/vitals.js'
import { TestClock } from '../src/testing/clock.js'
import { type Deferred, deferred, turn } from './support.js'

/** A heartbeat that asks every second; its questions wait until they are answered here. */
function listen() {
  const clock = new TestClock()
  /** Time that passes while this process can't see it. */
  let skipped = 0
  const questions: Deferred[] = []
  const told: string[] = []
  const heartbeat = new Heartbeat<void>({
    clock: { now: () => clock.now() + skipped, after: (ms, run) => clock.after(ms, run) },
    interval: 1_000,
    suspectAfter: 2_000,
    stuckAfter: 10_000,
    ask() {
      const question = deferred()
      questions.push(question)
      return question.promise
    },
    answered: () => told.push('answered'),
    suspect: (ms) => told.push(`suspect ${ms}`),
    recovered: () => told.push('recovered'),
    stuck: (ms) => told.push(`stuck ${ms}`),
  })
  const answer = async () => {
    questions.at(-1)?.resolve()
    await turn()
  }
  const skip = (ms: number) => {
    skipped += ms
  }
  return { clock, heartbeat, questions, told, answer, skip }
}

test('W2: a worker that does not answer is suspect after 2 s and stuck after 10 s, and again after as much', async () => {
  const { clock, told, questions } = listen()
  await clock.advance(1_999)
  expect(told).toEqual([])
  await clock.advance(8_000)
  expect(told).toEqual(['suspect 2000'])
  await clock.advance(10_001)
  expect(told).toEqual(['suspect 2000', 'stuck 10000', 'stuck 20000'])
  // One question at a time: what is not read must not pile up.
  expect(questions.length).toBe(1)
})

test('W3: a worker that answers late is no suspect any more, and its next silence counts anew', async () => {
  const { clock, told, answer, questions } = listen()
  await clock.advance(9_000)
  await answer()
  expect(told).toEqual(['suspect 2000', 'answered', 'recovered'])
  await clock.advance(2_000)
  expect(told.length).toBe(3)
  await clock.advance(1_000)
  expect(told.slice(3)).toEqual(['suspect 2000'])
  expect(questions.length).toBe(2)
})

test('a worker that answers is asked at every interval', async () => {
  const { clock, told, answer, questions } = listen()
  for (let beats = 1; beats <= 60; beats++) {
    await answer()
    await clock.advance(1_000)
    expect(questions.length).toBe(beats + 1)
  }
  expect(new Set(told)).toEqual(new Set(['answered']))
})

test('M5: time in which this process itself stood still is no silence of a worker', async () => {
  const { clock, told, skip } = listen()
  await clock.advance(1_000)
  for (let pauses = 0; pauses < 5; pauses++) {
    skip(15_000)
    await clock.advance(1_000)
  }
  expect(told).toEqual([])
  await clock.advance(1_000)
  expect(told).toEqual(['suspect 2000'])
})

test('an answer that comes after the end says nothing, and no question comes', async () => {
  const { clock, heartbeat, told, answer, questions } = listen()
  await clock.advance(3_000)
  heartbeat.stop()
  await answer()
  expect(told).toEqual(['suspect 2000'])
  expect(clock.waiting).toBe(0)
  expect(questions.length).toBe(1)
})

test('a worker that is gone is not asked any more', async () => {
  const { clock, questions } = listen()
  questions[0]?.reject(new Error('gone'))
  await turn()
  expect(clock.waiting).toBe(0)
})

test('W19: no clock but the one that it is given counts', async () => {
  vi.spyOn(Date, 'now').mockImplementation(() => {
    throw new Error('Nobody is to ask for the time of day')
  })
  onTestFinished(() => void vi.restoreAllMocks())
  const { clock, told } = listen()
  await clock.advance(2_000)
  expect(told).toEqual(['suspect 2000'])
  expect(new Restarts({ maxRestarts: 1, window: 1_000 }).next(clock.now())).toBeLessThan(100)
})

test('W14: the wait before a restart doubles up to 10 s, with full jitter, until there were too many', () => {
  const restarts = new Restarts({ maxRestarts: 9, window: 30_000 })
  const longest = Array.from({ length: 9 }, () => restarts.next(0, () => 1))
  expect(longest).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000])
  expect(restarts.next(0)).toBeUndefined()
  expect(restarts.total).toBe(10)
  expect(new Restarts({ maxRestarts: 1, window: 1 }).next(0, () => 0)).toBe(0)
})

test('W14: failures count as long as the window, which slides', () => {
  const restarts = new Restarts({ maxRestarts: 2, window: 1_000 })
  const at = (now: number) => restarts.next(now, () => 1)
  expect([at(0), at(600), at(1_000), at(1_100), at(1_200)]).toEqual([
    100,
    200,
    200,
    undefined,
    undefined,
  ])
  expect(at(3_000)).toBe(100)
})

const idle: Vitals = { rss: 0, utilization: 0, handled: 0, serving: 0, abandoned: 0 }
const MIB = 2 ** 20

test.each([
  [{ maxRss: 100 * MIB }, { rss: 100 * MIB + 1 }, 0, 'it has 100 MiB of memory'],
  [{ maxRss: 100 * MIB }, { rss: 100 * MIB }, 0, undefined],
  [{ maxAge: 60_000 }, {}, 60_001, 'it is 60 s old'],
  [{ maxAge: 60_000 }, {}, 60_000, undefined],
  [{ maxRequests: 10 }, { handled: 11 }, 0, 'it has handled 11 requests'],
  [{ maxRequests: 10 }, { handled: 10 }, 0, undefined],
  [{}, { rss: 2 ** 40, handled: 2 ** 40 }, 2 ** 40, undefined],
])('W6: with %j, a worker of %j that is %d ms old', (options, vitals, age, reason) => {
  expect(new Limits(options, () => 0).exceeded({ ...idle, ...vitals }, age)).toBe(reason)
})

test('W6: each worker’s own limit is up to a fifth lower', () => {
  const lowest = new Limits({ maxRequests: 100 }, () => 1)
  expect(lowest.exceeded({ ...idle, handled: 80 }, 0)).toBeUndefined()
  expect(lowest.exceeded({ ...idle, handled: 81 }, 0)).toBe('it has handled 81 requests')
})

test.each([
  [{}, 1_000, undefined],
  [{}, 1_001, '1001 of its handlers never end'],
  [{ maxAbandoned: 3 }, 3, undefined],
  [{ maxAbandoned: 3 }, 4, '4 of its handlers never end'],
])('W11: with %j, %d handlers that nobody waits for', (options, abandoned, reason) => {
  expect(new Limits(options, () => 1).exceeded({ ...idle, abandoned }, 0)).toBe(reason)
})

const stuck: Because = { kind: 'stuck', text: 'it was in spin (/app/worker.js:12:5)' }

test.each<[string, ...Parameters<typeof describeExit>, WorkerExit['kind'], RegExp]>([
  ['W1', { code: null, signal: 'SIGKILL' }, undefined, undefined, 'killed', /not by Clusterwire/],
  ['W2', { code: null, signal: 'SIGKILL' }, stuck, undefined, 'stuck', /worker\.js:12:5/],
  ['W4', { code: null, signal: 'SIGABRT' }, undefined, undefined, 'oom-heap', /heap was full/],
  ['W5', { code: null, signal: 'SIGKILL' }, undefined, undefined, 'killed', /out of memory/],
  ['W7', { code: 0, signal: null }, undefined, undefined, 'finished', /^exited with code 0$/],
  ['W9', { code: 70, signal: null }, undefined, 'Error: oh', 'crashed', /code 70: Error: oh/],
  ['W9', { code: 70, signal: null }, undefined, undefined, 'crashed', /see what it printed/],
  ['W17', { code: 75, signal: null }, undefined, undefined, 'link', /lost its link/],
  ['W12', { code: 1, signal: null }, undefined, undefined, 'exited', /^exited with code 1$/],
  ['W14', { code: null, signal: 'SIGBUS' }, undefined, undefined, 'signalled', /by SIGBUS$/],
])('%s: an end with %j is put into words', (_row, end, because, crash, kind, says) => {
  const exit = describeExit(end, because, crash)
  expect(exit).toMatchObject({ ...end, kind })
  expect(exit.reason).toMatch(says)
})
