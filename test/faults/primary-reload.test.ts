// Rows M10 and M11, and reloads without a fault: what replaces workers loses no call, and is done one at a time.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, startCluster, type TestCluster, until } from '../support/cluster.js'
import { fault, tally } from '../support/fault.js'

type Ends = Record<string, number>

const total = (ends: Ends) => Object.values(ends).reduce((sum, count) => sum + count, 0)

/** The outcomes that were no answer. */
const failures = (ends: Ends) => Object.keys(ends).filter((end) => !end.endsWith(' answered'))

const generations = async (cluster: TestCluster) =>
  ((await cluster.workers()) as unknown as { generation: number }[]).map((one) => one.generation)

const names = (cluster: TestCluster, ...wanted: string[]) =>
  cluster.events.map(({ event }) => event).filter((event) => wanted.includes(event))

/** How many processes there were at once, at the most, since the cluster's start with so many. */
function mostAlive(cluster: TestCluster, atStart: number): number {
  let alive = atStart
  let most = alive
  for (const { event } of cluster.events) {
    if (event === 'fork') most = Math.max(most, ++alive)
    if (event === 'exit') alive--
  }
  return most
}

/** A cluster whose code is what `deploy` was last called with. */
async function startBuild(options: Record<string, unknown> = {}) {
  const directory = mkdtempSync(path.join(tmpdir(), 'build-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const BUILD = path.join(directory, 'build')
  const deploy = (build: 'good' | 'broken' | 'hanging') => writeFileSync(BUILD, build)
  deploy('good')
  const exec = fileURLToPath(new URL('../fixtures/build.js', import.meta.url))
  return { cluster: await startCluster({ exec, env: { BUILD }, ...options }), deploy }
}

test('a reload under calls, streams and broadcasts fails none, and has one process more at the most', async () => {
  const cluster = await startCluster({ workers: 3 })
  const [first] = await cluster.workers()
  await cluster.ask('startMixedLoad')
  const long = cluster.ask('callOn', first?.number, 'linger', { ms: 1_500 })
  await cluster.event('begun', ({ pid }) => pid === first?.pid)
  await cluster.ask('reload')
  expect(await long).toBe('done')
  const ends = (await cluster.ask('stopMixedLoad')) as Ends
  expect(failures(ends)).toEqual([])
  for (const kind of ['short', 'long', 'stream', 'broadcast'])
    expect(ends[`${kind} answered`], kind).toBeGreaterThan(2)
  expect(await generations(cluster)).toEqual([1, 1, 1])
  expect(mostAlive(cluster, 3)).toBe(4)
  const exits = cluster.events.filter(({ event }) => event === 'exit')
  expect(exits).toHaveLength(3)
  for (const exit of exits) expect(exit).toMatchObject({ code: 0, kind: 'told', expected: true })
})

test('SIGHUP reloads', async () => {
  const cluster = await startCluster()
  const before = await cluster.workers()
  cluster.child.kill('SIGHUP')
  expect(await cluster.event('reload.done')).toMatchObject({ generation: 1 })
  expect(await generations(cluster)).toEqual([1, 1])
  expect(before.filter(({ pid }) => isAlive(pid))).toEqual([])
})

for (const [build, bootTimeout] of [
  ['broken', 10_000],
  ['hanging', 3_000],
] as const)
  fault('M10', `a reload with a ${build} build`, async (record) => {
    const { cluster, deploy } = await startBuild({ workers: 3, bootTimeout })
    const before = await cluster.workers()
    deploy(build)
    await cluster.ask('startMixedLoad')
    const reloadedAt = performance.now()
    await expect(cluster.ask('reload')).rejects.toMatchObject({ code: 'WORKER_BOOT' })
    const recoveredMs = Math.round(performance.now() - reloadedAt)
    expect(await cluster.event('reload.aborted')).toMatchObject({
      generation: 1,
      error: 'WORKER_BOOT',
    })
    const ends = (await cluster.ask('stopMixedLoad')) as Ends
    expect(failures(ends)).toEqual([])
    // The first failure has stopped it, and the old workers are those that were there.
    expect(names(cluster, 'fork', 'exit')).toEqual(['fork', 'exit'])
    const pids = (await cluster.workers()).map(({ pid, state }) => ({ pid, state }))
    expect(pids).toEqual(before.map(({ pid }) => ({ pid, state: 'ready' })))
    deploy('good')
    await cluster.ask('reload')
    expect(await generations(cluster)).toEqual([2, 2, 2])
    const note = 'the old workers go on; the next good build replaces them'
    record({ calls: total(ends), settled: { answered: total(ends) }, recoveredMs, note })
  })

fault('M10', 'an old worker dies while the bad build boots', async (record) => {
  const { cluster, deploy } = await startBuild({ bootTimeout: 3_000 })
  const [victim] = await cluster.workers()
  deploy('hanging')
  const reload = expect(cluster.ask('reload')).rejects.toMatchObject({ code: 'WORKER_BOOT' })
  await cluster.event('fork')
  process.kill(victim?.pid as number, 'SIGKILL')
  const killedAt = performance.now()
  await cluster.event('exit', ({ number }) => number === victim?.number)
  await reload
  deploy('good')
  await cluster.event('ready', ({ number }) => Number(number) > 3)
  const recoveredMs = Math.round(performance.now() - killedAt)
  const states = (await cluster.workers()).map(({ state }) => state)
  expect(states).toEqual(['ready', 'ready'])
  record({ calls: 0, settled: {}, recoveredMs, note: 'its place is filled after the reload' })
})

fault('M11', 'reloads and scales that are called at once', async (record) => {
  const cluster = await startCluster()
  await cluster.ask('startMixedLoad')
  const calledAt = performance.now()
  await Promise.all([
    cluster.ask('reload'),
    cluster.ask('scale', 3),
    cluster.ask('reload'),
    cluster.ask('scale', 1),
    cluster.ask('scale', 2),
  ])
  const recoveredMs = Math.round(performance.now() - calledAt)
  const ends = (await cluster.ask('stopMixedLoad')) as Ends
  expect(failures(ends)).toEqual([])
  const told = cluster.events.filter(({ event }) => /^(reload\.|scaled)/.test(event))
  expect(told.map(({ event, generation, size }) => [event, generation ?? size])).toEqual([
    ['reload.start', 1],
    ['reload.done', 1],
    ['scaled', 3],
    ['reload.start', 2],
    ['reload.done', 2],
    ['scaled', 1],
    ['scaled', 2],
  ])
  expect(mostAlive(cluster, 2)).toBe(4)
  expect(await cluster.workers()).toHaveLength(2)
  await until('the end of all others', async () => [...cluster.pids].filter(isAlive).length === 2)
  record({ calls: total(ends), settled: { answered: total(ends) }, recoveredMs })
})

for (const [how, end] of [
  ['SIGTERM', (cluster: TestCluster) => cluster.child.kill('SIGTERM')],
  ['close()', (cluster: TestCluster) => cluster.ask('close')],
] as const)
  for (const moment of ['fork', 'ready'] as const)
    fault('M11', `${how} during a reload, at the new worker's ${moment}`, async (record) => {
      const cluster = await startCluster()
      const calls = [1, 2].map((number) => cluster.ask('callOn', number, 'linger', { ms: 500 }))
      await until('both', () => names(cluster, 'begun').length === 2)
      const turns = Promise.allSettled([cluster.ask('reload'), cluster.ask('scale', 4)])
      await cluster.event(moment)
      const endedAt = performance.now()
      await end(cluster)
      expect(await Promise.all(calls)).toEqual(['done', 'done'])
      if (how === 'close()') {
        expect(tally(await turns)).toEqual({ DRAINING: 2 })
        expect(await cluster.ask('workers')).toEqual([])
        await cluster.ask('letGo').catch(() => {})
      }
      expect(await cluster.exited).toEqual({ code: 0, signal: null })
      const recoveredMs = Math.round(performance.now() - endedAt)
      expect([...cluster.pids].filter(isAlive)).toEqual([])
      record({ calls: 2, settled: { answered: 2 }, recoveredMs, note: 'nothing is left' })
    })
