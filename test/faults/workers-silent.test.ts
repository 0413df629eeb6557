// Rows W2, W3, W11, W18, W19 of the fault matrix: a worker that lives, and does not answer, or not in time.

import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { fixture, isAlive, until, withFiles } from '../support/cluster.js'
import { type Deeds, startDeeds } from '../support/deeds.js'
import { fault, tally } from '../support/fault.js'

/** `file:line` of the line in the worker that is marked so. */
function lineOf(mark: string): string {
  const file = fixture('deeds-worker.js')
  const lines = readFileSync(file, 'utf8').split('\n')
  return `${file}:${lines.findIndex((line) => line.includes(mark)) + 1}`
}

interface Stuck {
  readonly silentMs: number
  readonly report: { readonly state: string; readonly stack: { file: string; line: number }[] }
}

/** Who answers so many calls, made by the primary and by a worker. */
async function whoAnswers(cluster: Deeds, asker: number): Promise<Set<number>> {
  const times = 10
  const ofPrimary = Array.from({ length: times }, () => cluster.ask('call', 'rest', { ms: 0 }))
  const ofWorker = cluster.ask('callOn', asker, 'askOthers', { times })
  return new Set([...(await Promise.all(ofPrimary)), ...((await ofWorker) as number[])] as number[])
}

for (const [how, mark] of [
  ['block', 'blocks here'],
  ['spin', 'spins here'],
] as const)
  fault('W2', `stuck for ever (${how})`, async (record) => {
    const cluster = await startDeeds({ workers: 3 })
    const struck = performance.now()
    const settling = Promise.allSettled([
      cluster.ask('callOn', 1, how, how === 'block' ? { ms: 60_000 } : undefined),
    ])
    await cluster.event('worker.suspect', ({ number }) => number === 1)
    expect((await cluster.workers()).map(({ state }) => state)).toEqual([
      'suspect',
      'ready',
      'ready',
    ])
    // Neither the primary's calls nor other workers' go to a suspect while others are ready.
    expect([...(await whoAnswers(cluster, 2))].sort()).toEqual([2, 3])
    const { details } = await cluster.event('worker.stuck', ({ number }) => number === 1)
    const { report, silentMs } = details as Stuck
    expect(silentMs).toBeGreaterThanOrEqual(1_000)
    expect(report.state).toBe('running')
    expect(report.stack.map(({ file, line }) => `${file}:${line}`)).toContain(lineOf(mark))
    const results = await settling
    expect(tally(results)).toEqual({ WORKER_LOST: 1 })
    const exit = await cluster.exitOf(1)
    expect(exit).toMatchObject({ kind: 'stuck', signal: 'SIGKILL', expected: false })
    expect(exit.reason).toContain(lineOf(mark))
    await cluster.isReady(4)
    const recoveredMs = performance.now() - struck
    await cluster.expectCalm()
    record({ calls: 1, settled: tally(results), recoveredMs, note: 'stuckAfter: 1 s' })
  })

fault('W3', 'blocked for less than the limit', async (record) => {
  const cluster = await startDeeds({
    liveness: { interval: 100, suspectAfter: 200, stuckAfter: 5_000 },
  })
  const struck = performance.now()
  const settling = Promise.allSettled([
    cluster.ask('callOn', 1, 'block', { ms: 800 }),
    ...Array.from({ length: 4 }, () => cluster.ask('callOn', 1, 'rest', { ms: 1 })),
  ])
  await cluster.event('worker.suspect')
  await cluster.event('worker.recovered')
  const recoveredMs = performance.now() - struck
  const results = await settling
  expect(tally(results)).toEqual({ answered: 5 })
  // It gets its share again.
  expect([...(await whoAnswers(cluster, 2))].sort()).toEqual([1, 2])
  expect((await cluster.workers()).map(({ state }) => state)).toEqual(['ready', 'ready'])
  expect(cluster.all('worker.exit')).toEqual([])
  await cluster.expectCalm()
  record({ calls: 5, settled: tally(results), recoveredMs })
})

fault('W3', 'blocked when it is the only one', async (record) => {
  const cluster = await startDeeds({
    workers: 1,
    liveness: { interval: 100, suspectAfter: 200, stuckAfter: 5_000 },
  })
  const struck = performance.now()
  const blocked = cluster.ask('call', 'block', { ms: 800 })
  await cluster.event('worker.suspect')
  // Where there is no other, a suspect is better than nobody.
  const results = await Promise.allSettled([blocked, cluster.ask('call', 'rest', { ms: 1 })])
  expect(tally(results)).toEqual({ answered: 2 })
  await cluster.event('worker.recovered')
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 2, settled: tally(results), recoveredMs })
})

fault('W11', 'handlers that never end', async (record) => {
  const cluster = await startDeeds({ recycle: { maxAbandoned: 3 } })
  const never = (deaf: boolean) => cluster.ask('callOn', 1, 'never', { deaf }, { timeout: 100 })
  const struck = performance.now()
  // Those that end when their signal says so leave nothing behind.
  const heeded = await Promise.allSettled(Array.from({ length: 5 }, () => never(false)))
  expect(tally(heeded)).toEqual({ DEADLINE_EXCEEDED: 5 })
  await until('the signals', () => cluster.all('aborted').length === 5)
  const load = cluster.ask('startLoad', 4)
  const deaf = await Promise.allSettled(Array.from({ length: 4 }, () => never(true)))
  expect(tally(deaf)).toEqual({ DEADLINE_EXCEEDED: 4 })
  await until('the signals', () => cluster.all('aborted').length === 9)
  const { details } = await cluster.event('worker.recycle')
  expect(details).toEqual({ reason: '4 of its handlers never end' })
  expect(await cluster.exitOf(1)).toMatchObject({ kind: 'told', code: 0, expected: true })
  const recoveredMs = performance.now() - struck
  await load
  expect(Object.keys((await cluster.ask('stopLoad')) as object)).toEqual(['answered'])
  expect(cluster.all('worker.recycle').length).toBe(1)
  await cluster.expectCalm()
  const settled = tally([...heeded, ...deaf])
  record({ calls: 9, settled, recoveredMs, note: 'maxAbandoned: 3; no other call failed' })
})

fault(
  'M7',
  'no file descriptor is left in a worker, which answers all the same',
  async (record) => {
    const cluster = await startDeeds({ workers: 2, recycle: { maxRequests: 10 } }, withFiles(200))
    await cluster.ask('callOn', 1, 'harm', 'files')
    const calls = Array.from({ length: 10 }, () => cluster.ask('callOn', 1, 'rest', { ms: 0 }))
    const results = await Promise.allSettled(calls)
    expect(tally(results)).toEqual({ answered: 10 })
    // It says so itself, with its heartbeat.
    expect(await cluster.exitOf(1)).toMatchObject({ kind: 'told', code: 0 })
    expect(cluster.all('worker.suspect')).toEqual([])
    await cluster.expectCalm()
    record({
      calls: 10,
      settled: tally(results),
      note: 'it counts as alive, and is recycled in order',
    })
  },
)

fault('W18', 'SIGSTOP, and SIGCONT before the limit', async (record) => {
  const cluster = await startDeeds({
    liveness: { interval: 100, suspectAfter: 200, stuckAfter: 20_000 },
  })
  const struck = performance.now()
  cluster.signal(1, 'SIGSTOP')
  const results = await Promise.allSettled(
    Array.from({ length: 3 }, () => cluster.ask('callOn', 1, 'rest', { ms: 0 }, { timeout: 300 })),
  )
  expect(tally(results)).toEqual({ DEADLINE_EXCEEDED: 3 })
  await cluster.event('worker.suspect')
  cluster.signal(1, 'SIGCONT')
  await cluster.event('worker.recovered')
  const recoveredMs = performance.now() - struck
  expect(await cluster.ask('callOn', 1, 'rest', { ms: 0 })).toBe(1)
  expect(cluster.all('worker.exit')).toEqual([])
  await cluster.expectCalm()
  record({ calls: 3, settled: tally(results), recoveredMs })
})

fault('W18', 'SIGSTOP with an answer on its way, and SIGCONT', async (record) => {
  const cluster = await startDeeds({
    liveness: { interval: 100, suspectAfter: 200, stuckAfter: 20_000 },
  })
  // The call ends here before the worker hears of it: what it answers then is late.
  const struck = performance.now()
  const blocked = cluster.ask('callOn', 1, 'block', { ms: 600 }, { timeout: 100 })
  const results = await Promise.allSettled([blocked])
  cluster.signal(1, 'SIGSTOP')
  expect(tally(results)).toEqual({ DEADLINE_EXCEEDED: 1 })
  await cluster.event('worker.suspect')
  cluster.signal(1, 'SIGCONT')
  await cluster.event('worker.recovered')
  const recoveredMs = performance.now() - struck
  const { primary } = (await cluster.ask('stats')) as { primary: { late: number } }
  expect(primary.late).toBe(1)
  await cluster.expectCalm()
  record({ calls: 1, settled: tally(results), recoveredMs, note: 'its answer was counted as late' })
})

fault('W18', 'SIGSTOP for ever', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  cluster.signal(1, 'SIGSTOP')
  const settling = Promise.allSettled([cluster.ask('callOn', 1, 'rest', { ms: 0 })])
  const { details } = await cluster.event('worker.stuck')
  expect((details as Stuck).report).toEqual({ state: 'silent' })
  const exit = await cluster.exitOf(1)
  expect(exit).toMatchObject({ kind: 'stuck', signal: 'SIGKILL' })
  expect(exit.reason).toMatch(/its whole process was stopped/)
  const results = await settling
  expect(tally(results)).toEqual({ WORKER_LOST: 1 })
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  expect(isAlive(cluster.pidOf(1))).toBe(false)
  await cluster.expectCalm()
  record({ calls: 1, settled: tally(results), recoveredMs, note: 'stuckAfter: 1 s' })
})

for (const skew of [-7_200_000, 86_400_000])
  fault('W19', `clocks of the workers are ${skew / 3_600_000} hours off`, async (record) => {
    const cluster = await startDeeds({ env: { CLOCK_SKEW: String(skew) } })
    const struck = performance.now()
    const left = (await cluster.ask('call', 'left', undefined, { timeout: 5_000 })) as number
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(5_000)
    const results = await Promise.allSettled([
      cluster.ask('call', 'rest', { ms: 50 }, { timeout: 5_000 }),
      cluster.ask('call', 'never', { deaf: false }, { timeout: 200 }),
    ])
    expect(tally(results)).toEqual({ answered: 1, DEADLINE_EXCEEDED: 1 })
    await cluster.event('aborted')
    const recoveredMs = performance.now() - struck
    for (const name of ['worker.suspect', 'worker.exit']) expect(cluster.all(name)).toEqual([])
    await cluster.expectCalm()
    record({ calls: 3, settled: { ...tally(results), answered: 2 }, recoveredMs })
  })
