// How many workers there are, what is told of them, and what they have done.

import { expect, test } from 'vitest'
import { fixture, isAlive, until } from '../support/cluster.js'
import { type Deeds, moodFile, startDeeds } from '../support/deeds.js'

const numbers = async (cluster: Deeds) => (await cluster.workers()).map(({ number }) => number)

test('scale() makes the workers more, and fewer, and no call fails', async () => {
  const cluster = await startDeeds()
  await cluster.ask('startLoad', 8)
  await cluster.ask('scale', 4)
  expect(await numbers(cluster)).toEqual([1, 2, 3, 4])
  expect((await cluster.workers()).map(({ state }) => state)).toEqual(Array(4).fill('ready'))
  await cluster.ask('scale', 1)
  expect(await numbers(cluster)).toEqual([1])
  const ends = (await cluster.ask('stopLoad')) as object
  expect(Object.keys(ends)).toEqual(['answered'])
  for (const number of [2, 3, 4])
    expect(await cluster.exitOf(number)).toMatchObject({ kind: 'told', code: 0, expected: true })
  expect(cluster.all('scaled').map(({ details }) => details)).toEqual([
    { workers: 4 },
    { workers: 1 },
  ])
  // The number is kept from then on.
  cluster.signal(1, 'SIGKILL')
  await cluster.isReady(5)
  expect(await numbers(cluster)).toEqual([5])
  await cluster.expectCalm()
})

test('scale() to what there is changes nothing', async () => {
  const cluster = await startDeeds()
  await cluster.ask('scale', 2)
  expect(await numbers(cluster)).toEqual([1, 2])
  expect(cluster.all('worker.fork').length).toBe(2)
  await cluster.expectCalm()
})

test('where one new worker does not boot, there are as many as before', async () => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({ exec: fixture('moody-worker.js'), env: { MOOD: file } })
  await set('throws')
  await expect(cluster.ask('scale', 4)).rejects.toMatchObject({ code: 'WORKER_BOOT' })
  expect(await numbers(cluster)).toEqual([1, 2])
  expect(cluster.all('scaled')).toEqual([])
  expect(await cluster.ask('state')).toBe('running')
  for (const number of [3, 4]) expect(isAlive(cluster.pidOf(number))).toBe(false)
  // And nothing is tried again behind its back.
  await set('well')
  await cluster.ask('scale', 3)
  expect((await numbers(cluster)).length).toBe(3)
  expect(cluster.all('worker.fork').length).toBe(5)
  await cluster.expectCalm()
})

test('a number of workers that can not be is refused, and changes nothing', async () => {
  const cluster = await startDeeds({ workers: 1 })
  for (const workers of [0, -1, 1.5, '2', 1_025])
    await expect(cluster.ask('scale', workers)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/^primary\.scale\(workers\): a whole number from 1 to 1024/),
    })
  expect(await numbers(cluster)).toEqual([1])
  await cluster.expectCalm()
})

test('what is scaled and reloaded at once is done one after the other', async () => {
  const cluster = await startDeeds()
  await cluster.ask('startLoad', 4)
  await Promise.all([cluster.ask('scale', 3), cluster.ask('reload'), cluster.ask('scale', 1)])
  const ends = (await cluster.ask('stopLoad')) as object
  expect(Object.keys(ends)).toEqual(['answered'])
  // 3 was added, 4 to 6 took the places of 1 to 3, and the last two of these went.
  expect(await cluster.workers()).toMatchObject([{ number: 4, generation: 1, state: 'ready' }])
  const last = cluster.all('worker.fork').map(({ number }) => number)
  expect(last).toEqual([1, 2, 3, 4, 5, 6])
  await cluster.expectCalm()
})

test('a place that is left alone and then taken away is no failure any more', async () => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({
    exec: fixture('moody-worker.js'),
    env: { MOOD: file },
    restarts: { maxRestarts: 0, window: 60_000 },
  })
  cluster.signal(2, 'SIGKILL')
  await cluster.event('degraded')
  await set('throws')
  await cluster.ask('scale', 1)
  await cluster.event('recovered')
  expect(await cluster.ask('state')).toBe('running')
  expect(await numbers(cluster)).toEqual([1])
  await cluster.expectCalm()
})

test('primary.workers tells of each worker what it is', async () => {
  const cluster = await startDeeds()
  const seen = async () => (await cluster.ask('workers')) as Record<string, unknown>[]
  const blocked = cluster.ask('callOn', 2, 'block', { ms: 700 })
  const waiting = cluster.ask('callOn', 2, 'rest', { ms: 0 })
  await cluster.event('worker.suspect')
  const [first, second] = await seen()
  expect(first).toEqual({
    number: 1,
    pid: cluster.pidOf(1),
    state: 'ready',
    generation: 0,
    uptime: expect.any(Number),
    restarts: 0,
    pending: expect.any(Number),
    rss: expect.any(Number),
    utilization: expect.any(Number),
  })
  expect(first?.rss).toBeGreaterThan(2 ** 20)
  expect(first?.utilization).toBeGreaterThanOrEqual(0)
  expect(first?.utilization).toBeLessThanOrEqual(1)
  // The two calls, and the question whether it is there.
  expect(second).toMatchObject({ number: 2, state: 'suspect', pending: 3 })
  await Promise.all([blocked, waiting])
  cluster.signal(1, 'SIGKILL')
  const exit = await cluster.event('worker.exit')
  expect(exit.worker).toMatchObject({ number: 1, state: 'dead', restarts: 0 })
  const fork = await cluster.event('worker.fork', ({ number }) => number === 3)
  expect(fork.worker).toMatchObject({ number: 3, state: 'booting', restarts: 1, pending: 0 })
  await cluster.isReady(3)
  // One that is let go was no failure.
  cluster.signal(2, 'SIGTERM')
  await cluster.isReady(4)
  expect(await cluster.exitOf(2)).toMatchObject({ kind: 'told', code: 0, expected: true })
  expect(await seen()).toMatchObject([
    { number: 3, restarts: 1, generation: 0 },
    { number: 4, restarts: 0, generation: 0 },
  ])
  await cluster.ask('reload')
  expect(await seen()).toMatchObject([
    { number: 5, restarts: 1, generation: 1 },
    { number: 6, restarts: 0, generation: 1 },
  ])
  await cluster.expectCalm()
})

interface Numbers {
  readonly count: number
  readonly errors: Record<string, number>
  readonly latency: { count: number; mean: number; p50: number; p99: number; max: number }
}

interface Member {
  readonly calls: Record<string, Numbers>
  readonly served: Record<string, Numbers>
  readonly late: number
  readonly violations: number
}

interface All {
  readonly primary: Member
  readonly workers: (Member & { number: number; state: string })[]
  readonly total: Member
}

test('primary.stats() counts calls and answers, errors by their code, and times', async () => {
  const cluster = await startDeeds()
  await Promise.all([
    ...Array.from({ length: 3 }, () => cluster.ask('callOn', 1, 'rest', { ms: 50 })),
    ...Array.from({ length: 2 }, () => cluster.ask('callOn', 2, 'rest', { ms: 50 })),
    cluster.ask('callOn', 2, 'askOthers', { times: 4 }),
    cluster.ask('errorOf', 'fail', 'text'),
    cluster.ask('errorOf', 'fail', 'text'),
    // Refused before it begins, which makes it no call.
    cluster.ask('errorOf', 'rest', { ms: 'soon' }),
  ])
  const never = cluster.ask('callOn', 1, 'never', { deaf: false }, { timeout: 50 })
  await expect(never).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await cluster.event('aborted')
  const { primary, workers, total } = (await cluster.ask('stats')) as All
  expect(primary.calls['deeds.rest']).toMatchObject({ count: 5, errors: {} })
  expect(primary.calls['deeds.fail']).toMatchObject({ count: 2, errors: { HANDLER_ERROR: 2 } })
  expect(primary.calls['deeds.never']).toMatchObject({ errors: { DEADLINE_EXCEEDED: 1 } })
  const { latency } = primary.calls['deeds.rest'] as Numbers
  expect(latency.count).toBe(5)
  expect(latency.max).toBeGreaterThanOrEqual(latency.p50)
  expect(latency.p50).toBeGreaterThanOrEqual(45)
  expect(workers.map(({ number, state }) => [number, state])).toEqual([
    [1, 'ready'],
    [2, 'ready'],
  ])
  const [first, second] = workers
  expect(first?.served['deeds.rest']).toMatchObject({ count: 7, errors: {} })
  expect(second?.served['deeds.rest']).toMatchObject({ count: 2, errors: {} })
  expect(second?.calls['deeds.rest']).toMatchObject({ count: 4, errors: {} })
  expect(total.calls['deeds.rest']).toMatchObject({ count: 9, errors: {} })
  expect(total.served['deeds.rest']).toMatchObject({ count: 9, latency: { count: 9 } })
  expect(total.served['deeds.fail']).toMatchObject({ count: 2, errors: { HANDLER_ERROR: 2 } })
  expect(total).toMatchObject({ late: 0, violations: 0 })
  // What Clusterwire asks itself is left out.
  const names = [total.calls, total.served].flatMap((procedures) => Object.keys(procedures))
  expect(names.filter((name) => !name.startsWith('deeds.'))).toEqual([])
  await cluster.expectCalm()
})

test('primary.stats() does without a worker that is gone', async () => {
  const cluster = await startDeeds()
  await cluster.ask('callOn', 1, 'rest', { ms: 0 })
  const asked = cluster.ask('stats') as Promise<All>
  cluster.signal(2, 'SIGKILL')
  const { workers, total } = await asked
  expect(workers.map(({ number }) => number)).toContain(1)
  expect(total.served['deeds.rest']).toMatchObject({ count: 1 })
  await cluster.isReady(3)
  await cluster.expectCalm()
})

test('settings of node:cluster that are not ours are warned of by name', async () => {
  const foreign = { cwd: '/', silent: true, serialization: 'advanced', exec: 'other.js' }
  const cluster = await startDeeds({ workers: 1, foreign })
  await until('the warning', () => cluster.all('warning').length > 0)
  expect(cluster.all('warning')).toMatchObject([
    {
      code: 'CLUSTERWIRE_FOREIGN_SETTINGS',
      message: expect.stringMatching(/called with .*cwd.*startPrimary\(\)/),
    },
  ])
  const message = String(cluster.all('warning')[0]?.message)
  for (const name of ['cwd', 'silent', 'serialization']) expect(message).toContain(name)
  expect(message).not.toContain('undefined')
  await cluster.expectCalm()
})

test('settings that clusterwire has options for are no reason to warn', async () => {
  const foreign = { exec: 'other.js', args: ['a'], silent: false }
  const cluster = await startDeeds({ workers: 1, foreign })
  expect(cluster.all('warning')).toEqual([])
  await cluster.expectCalm()
})
