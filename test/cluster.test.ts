import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { isAlive, startCluster, TestCluster, until } from './support/cluster.js'

test('startPrimary resolves when all workers are ready, and each of them answers', async () => {
  const cluster = await startCluster({ workers: 3 })
  expect((await cluster.workers()).map(({ state }) => state)).toEqual(['ready', 'ready', 'ready'])
  const outcomes = (await cluster.ask('all', 'whoami')) as {
    status: string
    value: { pid: number }
  }[]
  expect(outcomes.map(({ status }) => status)).toEqual(['applied', 'applied', 'applied'])
  expect(new Set(outcomes.map(({ value }) => value.pid)).size).toBe(3)
})

test('a call to a worker that is killed settles, the others go on, and a new worker is there within 2 s', async () => {
  const cluster = await startCluster()
  const [victim, other] = await cluster.workers()
  const call = cluster.ask('callOn', victim?.number, 'linger', { ms: 20_000 })
  const refused = expect(call).rejects.toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
  await cluster.event('begun', ({ pid }) => pid === victim?.pid)
  process.kill(victim?.pid as number, 'SIGKILL')
  await refused
  expect(await cluster.ask('callOn', other?.number, 'whoami')).toEqual({
    number: other?.number,
    pid: other?.pid,
  })
  await until(
    'a new worker',
    () => cluster.events.find(({ event, number }) => event === 'ready' && number === 3),
    2_000,
  )
  expect(await cluster.ask('callOn', 3, 'whoami')).toMatchObject({ number: 3 })
  expect(await cluster.event('exit')).toMatchObject({ signal: 'SIGKILL', expected: false })
  expect(await cluster.ask('pending')).toBe(0)
})

test('a worker that exits in the middle of a stream ends it with an error after the values that it sent', async () => {
  const cluster = await startCluster()
  const { values, end } = (await cluster.ask('collect', 10)) as { values: number[]; end: string }
  expect(end).toBe('WORKER_LOST')
  expect(values).toEqual([1, 2, 3].slice(0, values.length))
})

test('an error thrown outside any handler ends that worker only', async () => {
  const cluster = await startCluster()
  const [victim] = await cluster.workers()
  // Whether the answer still gets out is the throw's business.
  await Promise.allSettled([cluster.ask('callOn', victim?.number, 'die', 'throw')])
  expect(await cluster.event('exit')).toMatchObject({ number: victim?.number, expected: false })
  expect(await cluster.ask('call', 'whoami')).toBeTruthy()
  expect(cluster.stderr).toContain('thrown on purpose')
})

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  test(`${signal} lets a running call finish and ends the primary with code 0`, async () => {
    const cluster = await startCluster()
    const call = cluster.ask('call', 'linger', { ms: 300 })
    await cluster.event('begun')
    cluster.child.kill(signal)
    expect(await call).toBe('done')
    expect(await cluster.exited).toEqual({ code: 0, signal: null })
    expect([...cluster.pids].filter(isAlive)).toEqual([])
  })

test('a worker that can not start makes startPrimary fail with its name and a hint, and leaves no process', async () => {
  const cluster = new TestCluster({
    exec: fileURLToPath(new URL('./fixtures/broken.js', import.meta.url)),
  })
  const failed = await cluster.event('failed')
  expect(failed.code).toBe('WORKER_BOOT')
  expect(failed.message).toMatch(/broken\.js/)
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
  expect(cluster.stderr).toContain('this worker is broken')
})

test('a worker that never gets ready makes startPrimary fail after the boot timeout', async () => {
  const exec = fileURLToPath(new URL('./fixtures/hanging.js', import.meta.url))
  const cluster = new TestCluster({ exec, bootTimeout: 300 })
  expect(await cluster.event('failed')).toMatchObject({ code: 'WORKER_BOOT' })
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
})

test('joinCluster() outside a cluster says what to do', () => {
  const worker = fileURLToPath(new URL('./fixtures/worker.js', import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, [worker], { encoding: 'utf8' })
  expect(status).not.toBe(0)
  expect(stderr).toMatch(/NOT_IN_CLUSTER|startPrimary/)
})

test('a worker that is told to stop finishes what it does, and another takes its place', async () => {
  const cluster = await startCluster()
  const [first] = await cluster.workers()
  const call = cluster.ask('callOn', first?.number, 'linger', { ms: 300 })
  await cluster.event('begun')
  process.kill(first?.pid as number, 'SIGTERM')
  expect(await call).toBe('done')
  expect(await cluster.event('exit')).toMatchObject({
    number: first?.number,
    code: 0,
    expected: true,
  })
  await cluster.event('ready', ({ number }) => number === 3)
})

test('a listener that throws is reported, and the dead worker is replaced all the same', async () => {
  const cluster = await startCluster({ brokenListener: true })
  const [victim] = await cluster.workers()
  process.kill(victim?.pid as number, 'SIGKILL')
  expect(await cluster.event('error')).toMatchObject({ message: 'Error: a broken listener' })
  await cluster.event('ready', ({ number }) => number === 3)
})

test('the settings of node:cluster stay what they were', async () => {
  const cluster = await startCluster()
  expect(await cluster.ask('clusterSettings')).toMatchObject({ exec: 'of-somebody-else.js' })
})

test('startPrimary() in a worker says what to do instead', async () => {
  const cluster = new TestCluster({
    exec: fileURLToPath(new URL('./fixtures/primary.js', import.meta.url)),
  })
  expect(await cluster.event('failed')).toMatchObject({ code: 'WORKER_BOOT' })
  await cluster.exited
})

test('a worker that does not read costs others an error, not their lives, and the primary no memory', async () => {
  const cluster = await startCluster()
  const [one, two] = await cluster.workers()
  const blocked = cluster.ask('callOn', two?.number, 'block', { ms: 2_500 })
  const order = { to: two?.number, calls: 1_200, bytes: 128 * 1024 }
  const outcomes = (await cluster.ask('callOn', one?.number, 'flood', order)) as Record<
    string,
    number
  >
  await blocked
  expect(Object.keys(outcomes).sort()).toEqual(['OVERLOADED', 'ok'])
  expect(await cluster.ask('callOn', two?.number, 'whoami')).toMatchObject({ number: two?.number })
  expect(cluster.events.filter(({ event }) => event === 'exit')).toEqual([])
})
