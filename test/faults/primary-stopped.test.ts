// Rows M5 and M7: the primary itself is stopped for a while, or can't start processes.

import { expect } from 'vitest'
import {
  type ClusterEvent,
  startCluster,
  TestCluster,
  until,
  withFiles,
} from '../support/cluster.js'
import { fault, tally } from '../support/fault.js'

const liveness = { interval: 50, suspectAfter: 100, stuckAfter: 300 }

/** As long as it takes a worker's process to be stuck by the clock, five times over. */
const PAUSE = 5 * liveness.stuckAfter

/** Five beats of every worker, so that what the pause has left behind would have been told. */
async function beatsOn(cluster: TestCluster): Promise<void> {
  await cluster.ask('call', 'rest', { ms: 5 * liveness.interval })
}

const happened = (cluster: TestCluster, ...names: string[]): ClusterEvent[] =>
  cluster.events.filter(({ event }) => names.includes(event))

for (const [how, pause] of [
  [
    'is stopped by SIGSTOP',
    async (cluster: TestCluster) => {
      cluster.child.kill('SIGSTOP')
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
      cluster.child.kill('SIGCONT')
    },
  ],
  ['blocks its own event loop', (cluster: TestCluster) => cluster.ask('blockPrimary', PAUSE)],
] as const)
  fault('M5', `the primary ${how}`, async (record) => {
    const cluster = await startCluster({ liveness })
    const before = await cluster.workers()
    const durations = [400, 500, 700, 1_000, 1_500, 2_500]
    const calls = durations.map((ms) => cluster.ask('call', 'rest', { ms }))
    const settled = Promise.allSettled(calls)
    await until('all are on their way', async () => (await cluster.ask('pending')) === 6)
    await pause(cluster)
    const continuedAt = performance.now()
    await cluster.ask('workers')
    const recoveredMs = Math.round(performance.now() - continuedAt)
    const counts = tally(await settled)
    expect(counts).toEqual({ answered: durations.length })
    await beatsOn(cluster)
    expect(happened(cluster, 'exit', 'worker.stuck', 'worker.suspect')).toEqual([])
    const pids = (await cluster.workers()).map(({ pid, state }) => ({ pid, state }))
    expect(pids).toEqual(before.map(({ pid }) => ({ pid, state: 'ready' })))
    const note = `${PAUSE} ms, where ${liveness.stuckAfter} ms of silence would be a stuck worker`
    record({ calls: durations.length, settled: counts, recoveredMs, note })
  })

fault('M5', 'the primary is stopped by SIGSTOP while a new worker boots', async (record) => {
  const bootTimeout = 3_000
  const cluster = await startCluster({ bootTimeout })
  const reload = cluster.ask('reload')
  await cluster.event('fork')
  cluster.child.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, bootTimeout + 500))
  const continuedAt = performance.now()
  cluster.child.kill('SIGCONT')
  await reload
  const recoveredMs = Math.round(performance.now() - continuedAt)
  expect(happened(cluster, 'exit').map(({ kind }) => kind)).toEqual(['told', 'told'])
  record({ calls: 0, settled: {}, recoveredMs, note: 'the pause is no part of the boot timeout' })
})

/** What the procedure of that name says. */
const whoami = ({ number, pid }: { readonly [field: string]: unknown }) => ({ number, pid })

fault('M7', 'no file descriptor is left when a dead worker is to be replaced', async (record) => {
  const cluster = await startCluster({}, withFiles(200))
  const [victim, other] = await cluster.workers()
  await cluster.ask('hogFilesUntilNotStarted')
  const killedAt = performance.now()
  process.kill(victim?.pid as number, 'SIGKILL')
  const failed = await cluster.event('exit', ({ kind }) => kind === 'not-started')
  expect(failed).toMatchObject({ code: null, signal: null, expected: false })
  expect(failed.reason).toMatch(/^could not be started: .*EMFILE/)
  expect(await cluster.ask('callOn', other?.number, 'whoami')).toEqual(whoami({ ...other }))
  const next = await cluster.event('ready', ({ number }) => Number(number) > 3)
  const recoveredMs = Math.round(performance.now() - killedAt)
  expect(await cluster.ask('callOn', next.number, 'whoami')).toEqual(whoami(next))
  expect(await cluster.workers()).toHaveLength(2)
  cluster.child.kill('SIGTERM')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  record({ calls: 0, settled: {}, recoveredMs, note: 'started when files were free again' })
})

fault('M7', 'no file descriptor is left for a reload or for more workers', async (record) => {
  const cluster = await startCluster({}, withFiles(200))
  const before = await cluster.workers()
  await cluster.ask('hogFiles')
  await expect(cluster.ask('reload')).rejects.toMatchObject({ code: 'WORKER_BOOT' })
  await expect(cluster.ask('scale', 4)).rejects.toMatchObject({ code: 'WORKER_BOOT' })
  const pids = (await cluster.workers()).map(({ pid, state }) => ({ pid, state }))
  expect(pids).toEqual(before.map(({ pid }) => ({ pid, state: 'ready' })))
  record({ calls: 0, settled: {}, note: 'they fail with WORKER_BOOT; the workers go on' })
})

fault('M7', 'the cluster is closed at the moment when a fork fails', async (record) => {
  // In a process group of its own: a signal to a child that has no pid would go to the whole group.
  const cluster = await startCluster({}, ['setsid', ...withFiles(200)])
  await cluster.ask('hogFilesAndCloseAtFork')
  await expect(cluster.ask('scale', 3)).rejects.toMatchObject({ code: 'DRAINING' })
  await until('the end', async () => (await cluster.ask('state')) === 'closed')
  await cluster.ask('letGo').catch(() => {})
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  record({ calls: 0, settled: {}, note: 'the primary is not hit by its own signal' })
})

fault('M7', 'too few file descriptors for all workers at the start', async (record) => {
  const cluster = new TestCluster({ workers: 4, spareFiles: 16 }, withFiles(200))
  expect(await cluster.event('failed')).toMatchObject({
    code: 'WORKER_BOOT',
    message: expect.stringContaining('EMFILE'),
  })
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
  record({ calls: 0, settled: {}, note: 'startPrimary() fails, and leaves no process' })
})
