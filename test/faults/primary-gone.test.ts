// Rows M1 and M2: the primary is killed. No worker outlives it by more than two seconds.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { isAlive, startCluster, type TestCluster, until } from '../support/cluster.js'
import { fault } from '../support/fault.js'

/** What no process may outlive its primary by, in milliseconds. */
const GONE_WITHIN = 2_000

function logs(): { EXIT_LOG: string; ORPHAN_LOG: string } {
  const directory = mkdtempSync(path.join(tmpdir(), 'orphans-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return { EXIT_LOG: path.join(directory, 'exits'), ORPHAN_LOG: path.join(directory, 'orphans') }
}

const linesOf = (file: string) =>
  existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').sort() : []

/** Kills the primary; resolves when every process of the cluster is gone, with the milliseconds that took. */
async function killPrimary(cluster: TestCluster): Promise<number> {
  const killedAt = performance.now()
  cluster.child.kill('SIGKILL')
  await until('the end of every process', () => ![...cluster.pids].some(isAlive), GONE_WITHIN)
  return Math.round(performance.now() - killedAt)
}

fault('M1', 'the primary is killed and its workers are idle', async (record) => {
  const env = logs()
  const cluster = await startCluster({ workers: 3, env })
  const pids = (await cluster.workers()).map(({ pid }) => pid)
  const recoveredMs = await killPrimary(cluster)
  expect(linesOf(env.EXIT_LOG)).toEqual(pids.map((pid) => `${pid} 75`).sort())
  const begun = pids.flatMap((pid) => [`${pid} begins`, `${pid} is over`])
  expect(linesOf(env.ORPHAN_LOG)).toEqual(begun.sort())
  record({ calls: 0, settled: {}, recoveredMs, note: 'every worker ended with code 75' })
})

fault('M1', 'the primary is killed and onOrphaned takes too long', async (record) => {
  const env = { ...logs(), ORPHANED_FOR: '60000' }
  const cluster = await startCluster({ env })
  const pids = (await cluster.workers()).map(({ pid }) => pid)
  const recoveredMs = await killPrimary(cluster)
  expect(linesOf(env.EXIT_LOG)).toEqual(pids.map((pid) => `${pid} 75`).sort())
  expect(linesOf(env.ORPHAN_LOG)).toEqual(pids.map((pid) => `${pid} begins`).sort())
  record({ calls: 0, settled: {}, recoveredMs, note: 'onOrphaned was cut off' })
})

fault('M1', 'the primary is killed and its workers answer calls', async (record) => {
  const env = logs()
  const cluster = await startCluster({ env })
  const workers = await cluster.workers()
  const calls = workers.map(({ number }) =>
    cluster.ask('callOn', number, 'linger', { ms: 60_000 }).catch(() => {}),
  )
  for (const { pid } of workers) await cluster.event('begun', (event) => event.pid === pid)
  const recoveredMs = await killPrimary(cluster)
  await Promise.all(calls)
  expect(linesOf(env.EXIT_LOG)).toEqual(workers.map(({ pid }) => `${pid} 75`).sort())
  record({ calls: 2, settled: {}, recoveredMs, note: 'their caller is gone with the primary' })
})

for (const [procedure, how, ...input] of [
  ['block', 'waits in Atomics.wait', { ms: 60_000 }],
  ['spin', 'spins for ever'],
] as const)
  fault('M2', `the primary is killed and a worker ${how}`, async (record) => {
    const env = logs()
    const cluster = await startCluster({ env })
    const [blocked, idle] = await cluster.workers()
    const call = cluster.ask('callOn', blocked?.number, procedure, ...input).catch(() => {})
    await cluster.event('begun', ({ pid }) => pid === blocked?.pid)
    const recoveredMs = await killPrimary(cluster)
    await call
    expect(linesOf(env.EXIT_LOG)).toEqual([`${idle?.pid} 75`])
    record({ calls: 1, settled: {}, recoveredMs, note: "the worker's watchdog ended it" })
  })
