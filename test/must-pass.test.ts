// Bugs that were filed against others like us, as far as only real processes can show them. The numbers are those of the list of such bugs;
// the rest of it is in packages/core/test: search there for "must pass".

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, startCluster, until, type WorkerRow } from './support/cluster.js'

interface Noted {
  readonly notes: readonly number[]
  readonly handles: readonly number[]
  readonly messages: readonly unknown[]
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
/** Workers in which another library listens to 'message' before ours is there. */
const otherLibrary = { OTHER_LIBRARY: 'yes' }

test('must pass 1: a worker that is killed by SIGKILL during a gather is exited; the others answer', async () => {
  const cluster = await startCluster({ workers: 3 })
  const victim = (await cluster.workers()).find(({ number }) => number === 1)
  const gather = cluster.ask('all', 'linger', { ms: 300 })
  await cluster.event('begun', ({ pid }) => pid === victim?.pid)
  process.kill(victim?.pid as number, 'SIGKILL')
  const outcomes = (await gather) as { member: { number: number }; status: string }[]
  const statuses = outcomes.map(({ member, status }) => [member.number, status])
  expect(Object.fromEntries(statuses)).toEqual({ 1: 'exited', 2: 'applied', 3: 'applied' })
})

test('must pass 7: what is sent before a worker is there arrives once and in order, though another library listens first', async () => {
  const cluster = await startCluster({ workers: 1, early: 5, env: otherLibrary })
  expect(await cluster.ask('early')).toEqual(upTo(5))
  const { notes, messages } = (await cluster.ask('call', 'noted')) as Noted
  expect(notes).toEqual(upTo(5))
  expect(messages).toEqual([])
})

test('must pass 12: calls of all sizes keep their order while handles pass over Node’s own channel', async () => {
  const cluster = await startCluster({ workers: 1, env: otherLibrary })
  expect(await cluster.ask('notesAndHandles', 1, 120)).toEqual(upTo(120))
  const noted = () => cluster.ask('call', 'noted') as Promise<Noted>
  await until('all handles', async () => (await noted()).handles.length === 30)
  const { notes, handles } = await noted()
  expect(notes).toEqual(upTo(120))
  expect(handles).toEqual(upTo(30).map((n) => n * 4))
})

test('must pass 15: workers that are restarted one after the other, and two at once, fail no call and do not multiply', async () => {
  const cluster = await startCluster({ workers: 3 })
  const restart = async (number: number) => {
    const worker = (await cluster.workers()).find((one) => one.number === number)
    process.kill(worker?.pid as number, 'SIGTERM')
    return cluster.event('exit', (exit) => exit.number === number)
  }
  const exits: unknown[] = []
  await cluster.ask('startLoad', 32)
  for (const number of [1, 2, 3]) {
    exits.push(await restart(number))
    await cluster.event('ready', (ready) => ready.number === number + 3)
  }
  exits.push(...(await Promise.all([restart(4), restart(5)])))
  for (const number of [7, 8]) await cluster.event('ready', (ready) => ready.number === number)
  const ends = (await cluster.ask('stopLoad')) as Record<string, number>
  expect(Object.keys(ends)).toEqual(['answered'])
  for (const exit of exits) expect(exit).toMatchObject({ code: 0, expected: true })
  expect((await cluster.workers()).map(({ number }) => number)).toEqual([6, 7, 8])
})

test('must pass 16: when the primary is killed, its workers end with code 75, also those that are at work', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const log = path.join(folder, 'exits')
  const cluster = await startCluster({ workers: 3, env: { EXIT_LOG: log } })
  const workers = await cluster.workers()
  const call = expect(cluster.ask('callOn', 1, 'linger', { ms: 20_000 })).rejects.toThrow('ended')
  await cluster.event('begun')
  cluster.child.kill('SIGKILL')
  await call
  await until('the end of the workers', () => ![...cluster.pids].some(isAlive), 2_000)
  const exits = readFileSync(log, 'utf8').trim().split('\n')
  expect(exits.sort()).toEqual(workers.map(({ pid }) => `${pid} 75`).sort())
})

test('must pass 18: close() may be called twice, ends all workers, and the process then ends by itself', async () => {
  const cluster = await startCluster()
  await Promise.all([cluster.ask('close'), cluster.ask('close')])
  expect(await cluster.workers()).toEqual([])
  await cluster.ask('close')
  await cluster.ask('letGo')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  expect([...cluster.pids].filter(isAlive)).toEqual([])
})

test('must pass 19: what others say over Node’s own channel is none of ours', async () => {
  const cluster = await startCluster({ env: otherLibrary })
  const before = await cluster.workers()
  const foreign = [
    null,
    '',
    'text',
    7,
    false,
    [],
    {},
    { type: 'axm:monitor' },
    { id: 1, code: 'X' },
  ]
  const ofNode = [{ cmd: 'NODE_SOMETHING' }, { cmd: 'NODE_CLUSTER', act: 'nothing known' }]
  const got = await cluster.ask('babble', [...foreign, ...ofNode])
  // All of it did arrive; Node keeps its own to itself.
  expect(got).toEqual([...foreign, ...foreign])
  for (const { number, pid } of before) {
    expect(((await cluster.ask('callOn', number, 'noted')) as Noted).messages).toEqual(foreign)
    expect(await cluster.ask('callOn', number, 'whoami')).toEqual({ number, pid })
  }
  const who = ({ number, pid, state }: WorkerRow) => ({ number, pid, state })
  expect((await cluster.workers()).map(who)).toEqual(before.map(who))
  expect(await cluster.ask('pending')).toBe(0)
})
