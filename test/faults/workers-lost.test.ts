// Rows W1, W5, W7 and W15 to W17 of the fault matrix: a worker's process is gone from one moment to the next.

import { expect } from 'vitest'
import { isAlive, until } from '../support/cluster.js'
import { runLog, startDeeds } from '../support/deeds.js'
import { fault, tally } from '../support/fault.js'

fault('W1', 'SIGKILL while calls are handled', async (record) => {
  const log = await runLog()
  const cluster = await startDeeds({ env: { RUNS: log.file } })
  const call = (procedure: string, id: string) =>
    cluster.ask('call', procedure, { id, ms: 400 }) as Promise<number>
  const calls = ['r0', 'r1', 'r2', 'r3'].map((id) => call('run', id))
  const again = ['i0', 'i1', 'i2', 'i3'].map((id) => call('rerun', id))
  const settling = Promise.allSettled([...calls, ...again])
  await until('the begin of all calls', () => cluster.all('begun').length === 8)
  const ofVictim = cluster.all('begun').filter(({ pid }) => pid === cluster.pidOf(1))
  const struck = performance.now()
  cluster.signal(1, 'SIGKILL')
  const results = await settling
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  // Those that may be run once only are lost with it; the others are run again.
  const lost = ofVictim.filter(({ id }) => String(id).startsWith('r')).length
  expect(lost).toBeGreaterThan(0)
  expect(tally(results)).toEqual({ answered: 8 - lost, WORKER_LOST: lost })
  for (const result of results)
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ started: 'unknown' })
  const runs = log.runs()
  for (const { id } of cluster.all('begun')) {
    const twice = String(id).startsWith('i') && ofVictim.some((one) => one.id === id)
    expect(runs[String(id)], String(id)).toBe(twice ? 2 : 1)
  }
  expect(cluster.all('worker.exit').map(({ number }) => number)).toEqual([1])
  await cluster.expectCalm()
  record({ calls: 8, settled: tally(results), recoveredMs })
})

fault('W1', 'SIGKILL while requests wait to be handed over', async (record) => {
  const log = await runLog()
  const liveness = { interval: 60_000, suspectAfter: 60_000, stuckAfter: 60_000 }
  const cluster = await startDeeds({ env: { RUNS: log.file }, liveness })
  cluster.signal(1, 'SIGSTOP')
  // More than a socket holds: what is left waits in the primary.
  const padding = 'x'.repeat(100_000)
  const ids = Array.from({ length: 60 }, (_, n) => `q${n}`)
  const settling = Promise.allSettled(
    ids.map((id) => cluster.ask('call', 'run', { id, ms: 0, padding })),
  )
  await until('the answers of the other worker', () => cluster.all('begun').length >= 30)
  const struck = performance.now()
  cluster.signal(1, 'SIGKILL')
  const results = await settling
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  const { answered = 0, WORKER_LOST = 0, ...others } = tally(results)
  expect(others).toEqual({})
  expect(answered + WORKER_LOST).toBe(60)
  expect(answered).toBeGreaterThan(30)
  expect(WORKER_LOST).toBeGreaterThan(0)
  // None was run by the stopped worker, and none twice by the other.
  expect(Object.values(log.runs())).toEqual(Array.from({ length: answered }, () => 1))
  await cluster.expectCalm()
  record({ calls: 60, settled: tally(results), recoveredMs, note: 'the worker was stopped before' })
})

fault('W5', 'SIGKILL from somebody else', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  const results = await Promise.allSettled([cluster.ask('callOn', 1, 'harm', 'kill')])
  expect(tally(results)).toEqual({ WORKER_LOST: 1 })
  const exit = await cluster.exitOf(1)
  expect(exit).toMatchObject({ kind: 'killed', signal: 'SIGKILL', code: null, expected: false })
  expect(exit.reason).toMatch(/not by Clusterwire; usually the system is out of memory/)
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 1, settled: tally(results), recoveredMs, note: String(exit.reason) })
})

fault('W7', 'process.exit(0) in the middle of a stream', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  const seen = (await cluster.ask('collect', 1, { to: 10, exitAfter: 3 })) as {
    values: number[]
    end: string
  }
  expect(seen.end).toBe('WORKER_LOST')
  expect(seen.values).toEqual([1, 2, 3].slice(0, seen.values.length))
  expect(await cluster.exitOf(1)).toMatchObject({ kind: 'finished', code: 0, expected: false })
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 1, settled: { [seen.end]: 1 }, recoveredMs })
})

fault('W7', 'process.exit(0) in the middle of a stream to another worker', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  const relay = { from: 1, to: 10, exitAfter: 3 }
  const seen = (await cluster.ask('callOn', 2, 'relay', relay)) as { values: number[]; end: string }
  expect(seen.end).toBe('WORKER_LOST')
  expect(seen.values).toEqual([1, 2, 3].slice(0, seen.values.length))
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  // And a stream that is whole is told to be.
  expect(await cluster.ask('callOn', 2, 'relay', { from: 3, to: 3, exitAfter: 4 })).toEqual({
    values: [1, 2, 3],
    end: 'clean',
  })
  await cluster.expectCalm()
  record({ calls: 1, settled: { [seen.end]: 1 }, recoveredMs })
})

fault('W15', 'SIGKILL between fork and hello', async (record) => {
  const cluster = await startDeeds({ killFork: 3 })
  const struck = performance.now()
  cluster.signal(1, 'SIGKILL')
  expect(await cluster.exitOf(3)).toMatchObject({ kind: 'killed' })
  const settling = Promise.allSettled(
    Array.from({ length: 20 }, () => cluster.ask('call', 'rest', { ms: 1 })),
  )
  await cluster.isReady(4)
  const recoveredMs = performance.now() - struck
  const results = await settling
  expect(tally(results)).toEqual({ answered: 20 })
  expect((await cluster.workers()).map(({ number }) => number)).toEqual([2, 4])
  await cluster.expectCalm()
  record({ calls: 20, settled: tally(results), recoveredMs })
})

fault('W16', 'SIGKILL while a process that it started lives on', async (record) => {
  const cluster = await startDeeds()
  const grandchild = (await cluster.ask('callOn', 1, 'harm', 'grandchild')) as number
  try {
    const settling = Promise.allSettled([cluster.ask('callOn', 1, 'never', { deaf: true })])
    await until('the call', async () => (await cluster.ask('pending')) !== 0)
    const struck = performance.now()
    cluster.signal(1, 'SIGKILL')
    const results = await settling
    expect(tally(results)).toEqual({ WORKER_LOST: 1 })
    expect(await cluster.exitOf(1)).toMatchObject({ kind: 'killed' })
    await cluster.isReady(3)
    const recoveredMs = performance.now() - struck
    expect(isAlive(grandchild)).toBe(true)
    await cluster.expectCalm()
    const note = 'the grandchild is orphaned, and lives'
    record({ calls: 1, settled: tally(results), recoveredMs, note })
  } finally {
    process.kill(grandchild, 'SIGKILL')
  }
})

fault('W17', 'it leaves node:cluster by process.disconnect()', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  await cluster.ask('callOn', 1, 'harm', 'disconnect')
  const results = await Promise.allSettled(
    Array.from({ length: 4 }, () => cluster.ask('callOn', 1, 'rest', { ms: 1 })),
  )
  // Its link is not Node's own channel: it is still there, and does what it is asked.
  expect(tally(results)).toEqual({ answered: 4 })
  expect(cluster.all('worker.exit')).toEqual([])
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  const note = 'nothing to recover from: the link is not the IPC channel'
  record({ calls: 4, settled: tally(results), recoveredMs, note })
})

for (const [harm, end] of [
  ['closeLink', {}],
  ['closeLinkAndBlock', { signal: 'SIGKILL' }],
] as const)
  fault('W17', `it closes the descriptor of its link (${harm})`, async (record) => {
    const cluster = await startDeeds()
    const struck = performance.now()
    const results = await Promise.allSettled([cluster.ask('callOn', 1, 'harm', harm)])
    expect(tally(results)).toEqual({ WORKER_LOST: 1 })
    // It ends by itself when it sees that, and is ended when it does not.
    expect(await cluster.exitOf(1)).toMatchObject({ kind: 'link', expected: false, ...end })
    await cluster.isReady(3)
    const recoveredMs = performance.now() - struck
    expect(isAlive(cluster.pidOf(1))).toBe(false)
    await cluster.expectCalm()
    record({ calls: 1, settled: tally(results), recoveredMs })
  })
