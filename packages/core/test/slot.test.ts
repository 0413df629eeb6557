// One place in the pool, with workers that are no processes; titled by their row in the fault matrix.

import { expect, onTestFinished, test, vi } from 'vitest'
import type { WorkerExit } from '../src/cluster/exit.js'
import { Slot, type SlotOwner } from '../src/cluster/slot.js'
import type { WorkerProcess } from '../src/cluster/worker-process.js'
import { TestClock } from '../src/testing/clock.js'
import { type Deferred, deferred, turn } from './support.js'

/** As much of a worker's process as its slot makes use of. */
class FakeWorker {
  readonly number: number
  readonly restarts: number
  isToEnd = false
  readonly proven: Promise<void> = Promise.resolve()
  readonly #ready: Deferred = deferred()
  readonly #exited: Deferred<WorkerExit> = deferred()
  readonly ready: Promise<void> = this.#ready.promise
  readonly exited: Promise<WorkerExit> = this.#exited.promise

  constructor(number: number, restarts: number) {
    this.number = number
    this.restarts = restarts
  }

  move(): boolean {
    return true
  }

  kill({ kind, text }: { kind: WorkerExit['kind']; text: string }): void {
    this.#exited.resolve({ code: null, signal: 'SIGKILL', kind, reason: text })
  }

  toString(): string {
    return `worker ${this.number}`
  }

  async getReady(): Promise<void> {
    this.#ready.resolve()
    await turn()
  }

  async exit(code: number): Promise<void> {
    this.#exited.resolve({ code, signal: null, kind: 'exited', reason: `exited with code ${code}` })
    await turn()
  }
}

/** A slot, and all that it has its owner do. */
function open({ maxRestarts = 5 } = {}) {
  const clock = new TestClock()
  const forked: FakeWorker[] = []
  const told: string[] = []
  let broken = false
  const owner = {
    clock,
    restarts: { maxRestarts, window: 30_000 },
    bootTimeout: 5_000,
    exec: 'app.js',
    fork(restarts: number) {
      if (broken) throw new Error('no more processes')
      const worker = new FakeWorker(forked.length + 1, restarts)
      forked.push(worker)
      return worker as never as WorkerProcess
    },
    forked: () => {},
    async end({ number }: WorkerProcess) {
      told.push(`end ${number}`)
      await forked[number - 1]?.exit(0)
    },
    exited: ({ number }: WorkerProcess, { kind }: WorkerExit) =>
      void told.push(`${kind} ${number}`),
    failed: (error: unknown) => void told.push((error as Error).message),
    rests: () => void told.push(slot.resting ? 'rests' : 'works'),
  } satisfies SlotOwner
  const slot = new Slot(owner)
  const last = () => forked.at(-1) as FakeWorker
  const setBroken = (is: boolean) => {
    broken = is
  }
  /** Starts the first worker, and lets it get ready. */
  const begin = async () => {
    const started = slot.start()
    await last().getReady()
    await started
  }
  return { clock, slot, forked, told, last, begin, setBroken }
}

test('W1: a worker that ends is followed by another, after a moment', async () => {
  const { clock, slot, forked, begin, last } = open()
  await begin()
  await last().exit(1)
  expect(slot.worker).toBeUndefined()
  await clock.advance(100)
  await last().getReady()
  expect(forked.map(({ number, restarts }) => [number, restarts])).toEqual([
    [1, 0],
    [2, 1],
  ])
  expect(slot.worker?.number).toBe(2)
  expect(clock.waiting).toBe(0)
})

test('W12: the first start fails with the reason, and is not tried again', async () => {
  const { clock, slot, forked, told, last } = open({ maxRestarts: 0 })
  const started = expect(slot.start()).rejects.toThrow(
    /worker 1 exited with code 1, before it was ready; see what app\.js/,
  )
  await last().exit(1)
  await started
  await clock.advance(60_000)
  expect(forked.length).toBe(1)
  expect(told).toEqual(['exited 1'])
})

test('W13: a worker that does not get ready is killed, and another is tried', async () => {
  const { clock, told, begin, last } = open()
  await begin()
  await last().exit(1)
  await clock.advance(100)
  await clock.advance(5_000)
  expect(told).toEqual(['exited 1', 'boot-timeout 2', expect.stringMatching(/worker 2 it took/)])
  await clock.advance(200)
  await last().getReady()
  expect(last().number).toBe(3)
  expect(clock.waiting).toBe(0)
})

test('W14: a place that fails too often is left alone for a window, and then tried again', async () => {
  const { clock, slot, forked, told, begin, last } = open({ maxRestarts: 3 })
  await begin()
  for (let failures = 1; failures <= 4; failures++) {
    await last().exit(1)
    await clock.advance(1_000)
  }
  expect(forked.length).toBe(4)
  expect(slot.resting).toBe(true)
  await clock.advance(28_999)
  expect(forked.length).toBe(4)
  await clock.advance(1)
  expect(slot.resting).toBe(true)
  await last().getReady()
  expect(slot.resting).toBe(false)
  expect(told.filter((what) => what === 'rests' || what === 'works')).toEqual(['rests', 'works'])
})

test('W15: a fork that fails is tried again', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  onTestFinished(() => void vi.restoreAllMocks())
  const { clock, slot, told, begin, last, setBroken } = open()
  await begin()
  setBroken(true)
  await last().exit(1)
  await clock.advance(50)
  expect(told).toEqual(['exited 1', 'no more processes'])
  setBroken(false)
  await clock.advance(100)
  await last().getReady()
  expect(slot.worker?.number).toBe(2)
})

test('W6: a worker is replaced by one that is ready before it goes', async () => {
  const { slot, told, begin, last } = open()
  await begin()
  const replaced = slot.replace()
  await turn()
  expect([slot.worker?.number, slot.processes.length, told]).toEqual([1, 2, []])
  await last().getReady()
  await replaced
  expect([slot.worker?.number, slot.processes.length]).toEqual([2, 1])
  expect(told).toEqual(['end 1', 'exited 1'])
})

test('W12: where the next one does not get ready, the old one stays', async () => {
  const { clock, slot, forked, begin, last, setBroken } = open()
  await begin()
  const replaced = expect(slot.replace()).rejects.toThrow(/worker 2 exited with code 1/)
  await last().exit(1)
  await replaced
  setBroken(true)
  await expect(slot.replace()).rejects.toThrow('no more processes')
  await clock.advance(60_000)
  expect(slot.worker?.number).toBe(1)
  expect(forked.length).toBe(2)
})

test.each(['the process can’t be started', 'the next one exits'])(
  'a place whose worker has died gets another where replacing it fails: %s',
  async (how) => {
    const { clock, slot, begin, last, setBroken } = open()
    await begin()
    await last().exit(1)
    setBroken(how !== 'the next one exits')
    const replaced = expect(slot.replace()).rejects.toThrow()
    if (how === 'the next one exits') await last().exit(1)
    await replaced
    setBroken(false)
    await clock.advance(400)
    await last().getReady()
    expect(slot.worker).toBeDefined()
    expect(slot.processes.length).toBe(1)
  },
)

test('a worker that is let go as soon as it is ready takes nobody’s place', async () => {
  const { slot, told, begin, last } = open()
  await begin()
  const replaced = expect(slot.replace()).rejects.toMatchObject({ code: 'WORKER_BOOT' })
  last().isToEnd = true
  await last().getReady()
  await replaced
  expect([slot.worker?.number, told]).toEqual([1, []])
})

test('a worker that dies while the next one boots is followed by that one alone', async () => {
  const { clock, slot, forked, begin, last } = open()
  await begin()
  const replaced = slot.replace()
  await forked[0]?.exit(1)
  await clock.advance(60)
  await last().getReady()
  await replaced
  await clock.advance(60_000)
  expect([slot.worker?.number, forked.length]).toEqual([2, 2])
})

test('a worker that is let go is followed by another at once, and that is no failure', async () => {
  const { clock, slot, begin, last } = open({ maxRestarts: 0 })
  await begin()
  await slot.retire(slot.worker as WorkerProcess)
  await clock.advance(0)
  await last().getReady()
  expect([slot.worker?.number, last().restarts, slot.resting]).toEqual([2, 0, false])
})

test('nothing is started any more in a place that has been stopped', async () => {
  const { clock, slot, forked, begin, last } = open()
  await begin()
  await last().exit(1)
  slot.stop()
  expect(clock.waiting).toBe(0)
  await expect(slot.replace()).rejects.toMatchObject({ code: 'DRAINING' })
  await clock.advance(60_000)
  expect(forked.length).toBe(1)
})
