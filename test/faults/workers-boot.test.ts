// Rows W12, W13, W14 of the fault matrix: workers that do not get ready, or not for long.

import { expect } from 'vitest'
import { fixture, isAlive, until } from '../support/cluster.js'
import { Deeds, type Mood, moodFile, startDeeds } from '../support/deeds.js'
import { fault, tally } from '../support/fault.js'

const exec = fixture('moody-worker.js')

for (const [mood, says] of [
  ['throws', /a bad build/],
  ['syntax', /SyntaxError/],
  ['missing', /ERR_MODULE_NOT_FOUND/],
] as const)
  fault('W12', `the first workers do not boot (${mood})`, async (record) => {
    const { file } = await moodFile(mood)
    const cluster = new Deeds({ exec, env: { MOOD: file } })
    const failed = await cluster.event('failed')
    expect(failed).toMatchObject({ code: 'WORKER_BOOT' })
    expect(failed.message).toContain(exec)
    expect(await cluster.exited).toEqual({ code: 3, signal: null })
    expect(cluster.stderr).toMatch(says)
    expect([...cluster.pids].filter(isAlive)).toEqual([])
    // It is not tried again and again.
    expect(cluster.all('worker.fork').length).toBe(2)
    record({ calls: 0, settled: {}, note: 'the primary ends with code 3' })
  })

fault('W12', 'there is no such module', async (record) => {
  const cluster = new Deeds({ exec: fixture('there-is-no-such-worker.js') })
  expect(await cluster.event('failed')).toMatchObject({ code: 'WORKER_BOOT' })
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
  expect(cluster.stderr).toMatch(/there-is-no-such-worker/)
  record({ calls: 0, settled: {}, note: 'the primary ends with code 3' })
})

fault('W13', 'the first workers never get ready', async (record) => {
  const { file } = await moodFile('hangs')
  const cluster = new Deeds({ exec, env: { MOOD: file }, bootTimeout: 500 })
  const failed = await cluster.event('failed')
  expect(failed.message).toMatch(/it took more than 500 ms, before it was ready/)
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
  expect([...cluster.pids].filter(isAlive)).toEqual([])
  record({ calls: 0, settled: {}, note: 'the primary ends with code 3' })
})

for (const [row, mood] of [
  ['W12', 'throws'],
  ['W13', 'hangs'],
] as const satisfies [string, Mood][])
  fault(row, `new workers of a reload do not boot (${mood})`, async (record) => {
    const { file, set } = await moodFile('well')
    const cluster = await startDeeds({ exec, env: { MOOD: file }, bootTimeout: 2_000 })
    await cluster.ask('startLoad', 4)
    await set(mood)
    const struck = performance.now()
    await expect(cluster.ask('reload')).rejects.toMatchObject({ code: 'WORKER_BOOT' })
    const recoveredMs = performance.now() - struck
    expect(await cluster.event('reload.aborted')).toMatchObject({ error: 'WORKER_BOOT' })
    const kind = mood === 'hangs' ? 'boot-timeout' : 'exited'
    expect(await cluster.exitOf(3)).toMatchObject({ kind, expected: false })
    // The old ones go on, and only one new one was tried.
    expect((await cluster.workers()).map(({ number }) => number)).toEqual([1, 2])
    const answers = (await cluster.ask('stopLoad')) as Record<string, number>
    expect(Object.keys(answers)).toEqual(['answered'])
    await set('well')
    await cluster.ask('reload')
    expect((await cluster.workers()).map(({ number }) => number)).toEqual([4, 5])
    await cluster.expectCalm()
    record({ calls: answers.answered as number, settled: answers, recoveredMs })
  })

fault('W13', 'a worker that takes the place of another never gets ready', async (record) => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({ exec, env: { MOOD: file }, bootTimeout: 1_500 })
  await set('hangs')
  const struck = performance.now()
  cluster.signal(1, 'SIGKILL')
  await cluster.event('worker.fork', ({ number }) => number === 3)
  const settling = Promise.allSettled(
    Array.from({ length: 5 }, () => cluster.ask('call', 'rest', { ms: 1 })),
  )
  expect(await cluster.exitOf(3)).toMatchObject({ kind: 'boot-timeout' })
  expect(await cluster.event('error')).toMatchObject({
    where: expect.stringMatching(/could not be started again/),
  })
  await set('well')
  await until('a worker in its place', () =>
    cluster.all('worker.ready').some(({ number }) => Number(number) > 3),
  )
  const recoveredMs = performance.now() - struck
  const results = await settling
  expect(tally(results)).toEqual({ answered: 5 })
  await cluster.expectCalm()
  record({ calls: 5, settled: tally(results), recoveredMs, note: 'bootTimeout: 1.5 s' })
})

fault('W14', 'a crash loop, with crashLoop: "wait"', async (record) => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({
    exec,
    env: { MOOD: file },
    crashLoop: 'wait',
    restarts: { maxRestarts: 2, window: 3_000 },
  })
  const struck = performance.now()
  await set('exits')
  const lost = await Promise.allSettled([
    cluster.ask('callOn', 1, 'harm', 'exit'),
    cluster.ask('callOn', 2, 'harm', 'exit'),
  ])
  const waiting = Promise.allSettled([cluster.ask('call', 'rest', { ms: 1 })])
  await cluster.event('degraded', ({ details }) => (details as { resting: number }).resting === 2)
  expect(await cluster.ask('state')).toBe('degraded')
  // Whoever waits, and whoever comes now, is told at once.
  const refused = await Promise.allSettled([cluster.ask('call', 'rest', { ms: 1 })])
  const results = [...lost, ...(await waiting), ...refused]
  expect(tally(results)).toEqual({ WORKER_LOST: 2, NO_WORKER: 2 })
  // In each place one at the start, and one after each of two failures.
  expect(cluster.all('worker.fork').length).toBe(2 * (1 + 2))
  await set('well')
  await cluster.event('recovered')
  const recoveredMs = performance.now() - struck
  expect(await cluster.ask('state')).toBe('running')
  expect(await cluster.ask('call', 'rest', { ms: 1 })).toBeGreaterThan(6)
  expect((await cluster.workers()).length).toBe(2)
  await cluster.expectCalm()
  record({ calls: 4, settled: tally(results), recoveredMs, note: 'window: 3 s, maxRestarts: 2' })
})

fault('W14', 'a crash loop in one place of two', async (record) => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({
    exec,
    env: { MOOD: file },
    restarts: { maxRestarts: 2, window: 60_000 },
  })
  await set('exits')
  const struck = performance.now()
  cluster.signal(1, 'SIGKILL')
  const { details } = await cluster.event('degraded')
  const recoveredMs = performance.now() - struck
  expect(details).toEqual({ resting: 1, workers: 2 })
  const results = await Promise.allSettled(
    Array.from({ length: 5 }, () => cluster.ask('call', 'rest', { ms: 1 })),
  )
  expect(tally(results)).toEqual({ answered: 5 })
  expect((await cluster.workers()).map(({ number }) => number)).toEqual([2])
  // Without the place that failed, nothing is wrong any more.
  await set('well')
  await cluster.ask('reload')
  await cluster.event('recovered')
  expect(await cluster.ask('state')).toBe('running')
  expect((await cluster.workers()).length).toBe(2)
  await cluster.expectCalm()
  record({ calls: 5, settled: tally(results), recoveredMs, note: 'the other place goes on' })
})

fault('W14', 'a crash loop under traffic ends the cluster', async (record) => {
  const cluster = await startDeeds({ restarts: { maxRestarts: 2, window: 60_000 } })
  const struck = performance.now()
  const outcomes: PromiseSettledResult<unknown>[] = []
  // Every worker gets ready, and dies with its next request.
  while (cluster.all('error').length === 0)
    outcomes.push(...(await Promise.allSettled([cluster.ask('call', 'harm', 'exit')])))
  expect(await cluster.event('error')).toMatchObject({ where: 'crash loop' })
  expect(await cluster.exited).toEqual({ code: 1, signal: null })
  const recoveredMs = performance.now() - struck
  expect(cluster.all('worker.fork').length).toBe(2 * (1 + 2))
  expect(cluster.all('worker.exit').map(({ details }) => details)).toEqual(
    Array.from({ length: 6 }, () => expect.objectContaining({ kind: 'exited', code: 1 })),
  )
  expect([...cluster.pids].filter(isAlive)).toEqual([])
  expect(cluster.all('unhandled')).toEqual([])
  // The last call is refused at once, unless nobody is left to tell of it.
  const { WORKER_LOST = 0 } = tally(outcomes)
  expect(WORKER_LOST).toBe(6)
  const last = outcomes.slice(6).map((one) => (one as PromiseRejectedResult).reason)
  for (const { code = 'NO_WORKER' } of last) expect(code).toBe('NO_WORKER')
  record({ calls: 6, settled: { WORKER_LOST }, recoveredMs, note: 'the primary ends with code 1' })
})
