// What the tests of workers' faults share: clusters that tell everything, and what must hold at the end of each.

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { type ClusterEvent, isAlive, TestCluster, until } from './cluster.js'

/** Seconds become tenths, so that a test takes seconds and not minutes. */
export const FAST = { interval: 100, suspectAfter: 200, stuckAfter: 1_000 }

/** How calls settled: a result for each that was made. */
export type Results = readonly PromiseSettledResult<unknown>[]

/** A cluster of test/fixtures/deeds-worker.js. */
export class Deeds extends TestCluster {
  constructor(options: Record<string, unknown> = {}, wrapper: readonly string[] = []) {
    super({ liveness: FAST, ...options }, wrapper, 'deeds-primary.js')
  }

  /** All events of this name, so far. */
  all(name: string): ClusterEvent[] {
    return this.events.filter(({ event }) => event === name)
  }

  /** Resolves with the exit of a worker, in full. */
  async exitOf(number: number): Promise<Record<string, unknown>> {
    const event = await this.event('worker.exit', (one) => one.number === number)
    return event.details as Record<string, unknown>
  }

  async isReady(number: number): Promise<ClusterEvent> {
    return this.event('worker.ready', (one) => one.number === number)
  }

  /** The process of a worker. */
  pidOf(number: number): number {
    const fork = this.events.find((one) => one.event === 'worker.fork' && one.number === number)
    return fork?.pid as number
  }

  signal(number: number, signal: NodeJS.Signals): void {
    process.kill(this.pidOf(number), signal)
  }

  /** What holds after every fault: nothing waits, nothing was rejected unseen, and with the cluster its processes end. */
  async expectCalm(): Promise<void> {
    await until('the end of all calls', async () => (await this.ask('pending')) === 0)
    await this.ask('close')
    expect([...this.pids].filter(isAlive)).toEqual([])
    expect(this.all('unhandled')).toEqual([])
  }
}

/** Starts a cluster and resolves when its workers are ready. */
export async function startDeeds(
  options: Record<string, unknown> = {},
  wrapper: readonly string[] = [],
): Promise<Deeds> {
  const cluster = new Deeds(options, wrapper)
  await cluster.event('started')
  return cluster
}

/** A directory that lives as long as the test. */
async function scratch(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'clusterwire-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Where workers note what they run: its path for `env.RUNS`, and how often each was run. */
export async function runLog(): Promise<{ file: string; runs(): Record<string, number> }> {
  const file = path.join(await scratch(), 'runs')
  await writeFile(file, '')
  const runs = () => {
    const counts: Record<string, number> = {}
    for (const id of readFileSync(file, 'utf8').split('\n').filter(Boolean))
      counts[id] = (counts[id] ?? 0) + 1
    return counts
  }
  return { file, runs }
}

/** What test/fixtures/moody-worker.js does at its next boot. */
export type Mood = 'well' | 'throws' | 'syntax' | 'missing' | 'exits' | 'hangs'

/** A mood that can be changed: its path for `env.MOOD`. */
export async function moodFile(
  mood: Mood,
): Promise<{ file: string; set(mood: Mood): Promise<void> }> {
  const file = path.join(await scratch(), 'mood')
  const set = (next: Mood) => writeFile(file, next)
  await set(mood)
  return { file, set }
}
