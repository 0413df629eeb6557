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

test('a question that could not be put is no answer: it is put again, and silence counts', async () => {
  const { clock, questions, told } = listen()
  questions[0]?.reject(new Error('too much waits for it'))
  await clock.advance(1_000)
  expect(questions).toHaveLength(2)
  questions[1]?.reject(new Error('too much waits for it'))
  await clock.advance(1_000)
  expect(told).toEqual(['suspect 2000'])
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
  [
    'more memory than maxRss',
    { maxRss: 100 * MIB },
    { rss: 100 * MIB + 1 },
    0,
    'it has 100 MiB of memory',
  ],
  ['an age above maxAge', { maxAge: 60_000 }, {}, 60_001, 'it is 60 s old'],
  [
    'more requests handled than maxRequests',
    { maxRequests: 10 },
    { handled: 11 },
    0,
    'it has handled 11 requests',
  ],
])('W6: a worker with %s is to be replaced', (_what, options, vitals, age, reason) => {
  expect(new Limits(options, () => 0).exceeded({ ...idle, ...vitals }, age)).toBe(reason)
})

test.each([
  ['as much memory as maxRss', { maxRss: 100 * MIB }, { rss: 100 * MIB }, 0],
  ['an age of maxAge', { maxAge: 60_000 }, {}, 60_000],
  ['as many requests handled as maxRequests', { maxRequests: 10 }, { handled: 10 }, 0],
  ['no limits, a TiB of memory and a great age', {}, { rss: 2 ** 40, handled: 2 ** 40 }, 2 ** 40],
])('W6: a worker with %s may stay', (_what, options, vitals, age) => {
  expect(new Limits(options, () => 0).exceeded({ ...idle, ...vitals }, age)).toBeUndefined()
})

test('W6: each worker’s own limit is up to a fifth lower', () => {
  const lowest = new Limits({ maxRequests: 100 }, () => 1)
  expect(lowest.exceeded({ ...idle, handled: 80 }, 0)).toBeUndefined()
  expect(lowest.exceeded({ ...idle, handled: 81 }, 0)).toBe('it has handled 81 requests')
})

test.each([
  ['1000 handlers that nobody waits for may stay', {}, 1_000, undefined],
  [
    '1001 handlers that nobody waits for is to be replaced',
    {},
    1_001,
    '1001 of its handlers never end',
  ],
  ['as many of them as maxAbandoned may stay', { maxAbandoned: 3 }, 3, undefined],
  [
    'more of them than maxAbandoned is to be replaced',
    { maxAbandoned: 3 },
    4,
    '4 of its handlers never end',
  ],
])('W11: a worker with %s', (_what, options, abandoned, reason) => {
  expect(new Limits(options, () => 1).exceeded({ ...idle, abandoned }, 0)).toBe(reason)
})

const stuck: Because = { kind: 'stuck', text: 'it was in spin (/app/worker.js:12:5)' }

test.each<[string, ...Parameters<typeof describeExit>, WorkerExit['kind'], RegExp]>([
  [
    'W1: a worker that SIGKILL ended: the reason says that it was not Clusterwire',
    { code: null, signal: 'SIGKILL' },
    undefined,
    undefined,
    'killed',
    /not by Clusterwire/,
  ],
  [
    'W2: a worker that was killed because it was stuck: the reason says where',
    { code: null, signal: 'SIGKILL' },
    stuck,
    undefined,
    'stuck',
    /worker\.js:12:5/,
  ],
  [
    'W4: a worker that SIGABRT ended: the reason says that its heap was full',
    { code: null, signal: 'SIGABRT' },
    undefined,
    undefined,
    'oom-heap',
    /heap was full/,
  ],
  [
    'W5: a worker that SIGKILL ended: the reason says that the system may be out of memory',
    { code: null, signal: 'SIGKILL' },
    undefined,
    undefined,
    'killed',
    /out of memory/,
  ],
  [
    'W7: a worker that exited with code 0: the reason says no more',
    { code: 0, signal: null },
    undefined,
    undefined,
    'finished',
    /^exited with code 0$/,
  ],
  [
    'W9: a worker that exited with code 70 and has told the error: the reason is that error',
    { code: 70, signal: null },
    undefined,
    'Error: oh',
    'crashed',
    /code 70: Error: oh/,
  ],
  [
    'W9: a worker that exited with code 70 and has told nothing: the reason points to what it printed',
    { code: 70, signal: null },
    undefined,
    undefined,
    'crashed',
    /see what it printed/,
  ],
  [
    'W17: a worker that exited with code 75: the reason is the link that it lost',
    { code: 75, signal: null },
    undefined,
    undefined,
    'link',
    /lost its link/,
  ],
  [
    'W12: a worker that exited with code 1: the reason says no more',
    { code: 1, signal: null },
    undefined,
    undefined,
    'exited',
    /^exited with code 1$/,
  ],
  [
    'W14: a worker that SIGBUS ended: the reason names the signal',
    { code: null, signal: 'SIGBUS' },
    undefined,
    undefined,
    'signalled',
    /by SIGBUS$/,
  ],
])('%s', (_title, end, because, crash, kind, says) => {
  const exit = describeExit(end, because, crash)
  expect(exit).toMatchObject({ ...end, kind })
  expect(exit.reason).toMatch(says)
})
