// Rows M3, M4 and M6: the primary is told to end, and has an error that nothing catches.

import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, startCluster, TestCluster, until } from '../support/cluster.js'
import { fault, tally } from '../support/fault.js'

/** Milliseconds in which a second signal is taken for the first one, delivered twice. */
const SAME_WISH = 1_000

const left = (cluster: TestCluster) => [...cluster.pids].filter(isAlive)

fault('M3', 'SIGTERM under load', async (record) => {
  const cluster = await startCluster()
  const times = Array.from({ length: 40 }, (_, n) => 500 + n * 20)
  const calls = times.map((ms) => cluster.ask('call', 'rest', { ms }))
  const settled = Promise.allSettled(calls)
  await until('all of them are on their way', async () => (await cluster.ask('pending')) === 40)
  const signalledAt = performance.now()
  cluster.child.kill('SIGTERM')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  const recoveredMs = Math.round(performance.now() - signalledAt)
  expect(left(cluster)).toEqual([])
  const counts = tally(await settled)
  expect(counts).toEqual({ answered: 40 })
  record({ calls: 40, settled: counts, recoveredMs, note: 'ended with code 0' })
})

fault('M3', 'a second signal, a second later', async (record) => {
  const cluster = await startCluster()
  const call = cluster.ask('call', 'linger', { ms: 60_000 })
  const settled = Promise.allSettled([call])
  await cluster.event('begun')
  cluster.child.kill('SIGTERM')
  await cluster.event('closing')
  // The very thing: what comes sooner is the same wish.
  await sleep(SAME_WISH + 50)
  const signalledAt = performance.now()
  cluster.child.kill('SIGTERM')
  expect(await cluster.exited).toEqual({ code: 143, signal: null })
  await until('the end of every process', () => left(cluster).length === 0, 2_000)
  const recoveredMs = Math.round(performance.now() - signalledAt)
  await settled
  record({ calls: 1, settled: {}, recoveredMs, note: 'ended with code 143 at once' })
})

test('M3: a signal that comes twice at once is one', async () => {
  const cluster = await startCluster()
  const call = cluster.ask('call', 'linger', { ms: 300 })
  await cluster.event('begun')
  cluster.child.kill('SIGINT')
  cluster.child.kill('SIGINT')
  cluster.child.kill('SIGTERM')
  expect(await call).toBe('done')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
})

for (const [what, procedure] of [
  ['has a handler that never ends', 'linger'],
  ['is blocked', 'block'],
] as const)
  fault('M3', `SIGTERM, and a worker ${what}`, async (record) => {
    const cluster = await startCluster({ shutdownTimeout: 500 })
    const call = cluster.ask('call', procedure, { ms: 60_000 })
    const settled = Promise.allSettled([call])
    const begun = await cluster.event('begun')
    const signalledAt = performance.now()
    cluster.child.kill('SIGTERM')
    expect(await cluster.exited).toEqual({ code: 1, signal: null })
    const recoveredMs = Math.round(performance.now() - signalledAt)
    expect(left(cluster)).toEqual([])
    expect(cluster.pids).toContain(begun.pid)
    const counts = tally(await settled)
    expect(counts).toEqual({ WORKER_LOST: 1 })
    record({ calls: 1, settled: counts, recoveredMs, note: 'ended with code 1' })
  })

test('M3: SIGTERM while the first workers boot ends them, and the primary with code 0', async () => {
  const exec = fileURLToPath(new URL('../fixtures/hanging.js', import.meta.url))
  const cluster = new TestCluster({ exec })
  const { pid } = cluster.child
  const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g)
  await until('two workers', () => children()?.length === 2)
  const booting = (children() ?? []).map(Number)
  cluster.child.kill('SIGTERM')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  await until('the end of every process', () => !booting.some(isAlive), 2_000)
})

const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
const [unshare = '', ...unshareArgs] = namespace
const isPermitted = spawnSync(unshare, [...unshareArgs, 'true']).status === 0
if (!isPermitted)
  process.stderr.write('M4 is NOT tested: this system lets nobody make a PID namespace\n')

/** A primary with pid 1, by the outer process: its children have numbers of that namespace, and end with it. */
async function startAsPid1(): Promise<{ child: ChildProcess; pid1: number }> {
  const script = fileURLToPath(new URL('../fixtures/primary.js', import.meta.url))
  const child = fork(script, ['{}'], {
    execPath: unshare,
    execArgv: [...unshareArgs, process.execPath],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const messages: { event?: string }[] = []
  child.on('message', (message: object) => messages.push(message))
  await until('its start', () => messages.find(({ event }) => event === 'started'))
  const pid1 = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'))
  return { child, pid1 }
}

for (const signal of isPermitted ? (['SIGTERM', 'SIGINT'] as const) : [])
  fault('M4', `${signal} to a primary with pid 1`, async (record) => {
    const { child, pid1 } = await startAsPid1()
    const answers: unknown[] = []
    child.on('message', ({ id, value }: { id?: number; value?: unknown }) => {
      if (id === 1) answers.push(value)
    })
    child.send({ id: 1, command: 'call', args: ['rest', { ms: 300 }] })
    child.send({ id: 2, command: 'pending', args: [] })
    await once(child, 'message')
    const signalledAt = performance.now()
    process.kill(pid1, signal)
    expect(await once(child, 'exit')).toEqual([0, null])
    const recoveredMs = Math.round(performance.now() - signalledAt)
    expect(answers).toHaveLength(1)
    record({ calls: 1, settled: { answered: 1 }, recoveredMs, note: 'ended with code 0' })
  })

test.skipIf(isPermitted)(
  'M4: SIGTERM to a primary with pid 1 (NOT TESTED: needs a namespace)',
  () => {},
)

fault('M6', 'an error in the primary that nothing catches', async (record) => {
  const cluster = await startCluster()
  const call = cluster.ask('call', 'linger', { ms: 300 })
  await cluster.event('begun')
  const thrownAt = performance.now()
  await cluster.ask('throwOutside')
  expect(await call).toBe('done')
  expect(await cluster.exited).toEqual({ code: 1, signal: null })
  await until('the end of every process', () => left(cluster).length === 0, 2_000)
  const recoveredMs = Math.round(performance.now() - thrownAt)
  expect(cluster.stderr).toMatch(/an error that nothing caught.*Error: thrown in the primary/)
  record({ calls: 1, settled: { answered: 1 }, recoveredMs, note: 'ended with code 1' })
})

fault('M6', 'a listener, a drain hook and onError in the primary that throw', async (record) => {
  const cluster = await startCluster({ brokenListener: true })
  const [victim] = await cluster.workers()
  process.kill(victim?.pid as number, 'SIGKILL')
  expect(await cluster.event('error')).toMatchObject({ message: 'Error: a broken listener' })
  await cluster.event('ready', ({ number }) => number === 3)
  expect(cluster.stderr).toMatch(/a broken listener.*a broken onError/s)
  await cluster.ask('breakDrainHook')
  const call = cluster.ask('call', 'linger', { ms: 200 })
  await cluster.event('begun')
  cluster.child.kill('SIGTERM')
  expect(await call).toBe('done')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  record({ calls: 1, settled: { answered: 1 }, note: 'told; nothing ends by it' })
})
