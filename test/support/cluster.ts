// Starts a real cluster in a process of its own, so that a test can signal and kill any part of it, and sees that nothing is left.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export interface WorkerRow {
  readonly number: number
  readonly pid: number
  readonly state: string
}

export interface ClusterEvent {
  readonly event: string
  readonly [field: string]: unknown
}

/** A primary that is a child of the test, and its workers. */
export class TestCluster {
  readonly child: ChildProcess
  readonly events: ClusterEvent[] = []
  /** Every process of the cluster that was ever seen. */
  readonly pids: Set<number> = new Set()
  stdout = ''
  stderr = ''
  readonly exited: Promise<{ code: number | null; signal: string | null }>
  #lastId = 0
  #listeners = new Set<() => void>()

  /**
   * @param wrapper a command that starts the primary's: `['bash', '-c', 'ulimit -n 60; exec "$@"', 'bash']`
   * @param primary the fixture that is its primary
   */
  constructor(
    options: Record<string, unknown> = {},
    wrapper: readonly string[] = [],
    primary = 'primary.js',
  ) {
    const [execPath = '', ...execArgv] = [...wrapper, process.execPath]
    this.child = fork(fixture(primary), [JSON.stringify(options)], {
      execPath,
      execArgv,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    // One listener for each answer that is waited for.
    this.child.setMaxListeners(0)
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.child.on('message', (message: ClusterEvent) => {
      if (message.event === undefined) return
      this.events.push(message)
      for (const row of [message, ...((message.workers as WorkerRow[]) ?? [])])
        if (typeof row.pid === 'number') this.pids.add(row.pid)
      for (const listener of [...this.#listeners]) listener()
    })
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }))
    onTestFinished(() => this.#end())
  }

  /** Resolves with the first event that has this name and fits, past or future. */
  async event(
    name: string,
    fits: (event: ClusterEvent) => boolean = () => true,
  ): Promise<ClusterEvent> {
    return until(`the event "${name}"`, () =>
      this.events.find((one) => one.event === name && fits(one)),
    )
  }

  async workers(): Promise<WorkerRow[]> {
    return (await this.ask('workers')) as WorkerRow[]
  }

  /** Has the primary do something; rejects with the error's fields when it fails there. */
  async ask(command: string, ...args: unknown[]): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      const onMessage = (message: { id?: number; value?: unknown; error?: object }) => {
        if (message.id !== id) return
        done()
        if (message.error) reject(message.error)
        else resolve(message.value)
      }
      const onExit = () => {
        done()
        reject(new Error('the primary ended'))
      }
      const done = () => this.child.off('message', onMessage).off('exit', onExit)
      this.child.on('message', onMessage).on('exit', onExit)
      this.child.send({ id, command, args }, (error) => error && reject(error))
    })
  }

  async #end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
    await this.exited
    await until('the end of every process', () => [...this.pids].every((pid) => !isAlive(pid)))
  }
}

/** Runs what follows with at most so many open files. */
export function withFiles(limit: number): readonly string[] {
  return ['bash', '-c', `ulimit -n ${limit}; exec "$@"`, 'bash']
}

/** The path of a file in test/fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
}

/** Starts a cluster and resolves when its workers are ready. */
export async function startCluster(
  options: Record<string, unknown> = {},
  wrapper: readonly string[] = [],
): Promise<TestCluster> {
  const cluster = new TestCluster(options, wrapper)
  await cluster.event('started')
  return cluster
}

/** Whether a process runs. A zombie, which only waits for its parent to look at it, does not. */
export function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/status`
  try {
    return existsSync(status) && !/^State:\s*[ZX]/m.test(readFileSync(status, 'utf8'))
  } catch {
    return false // It ended between the two.
  }
}

/** Asks again and again until there is an answer; fails when that takes longer than `ms`. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  ms = 10_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + ms
  for (;;) {
    const answer = await ask()
    if (answer) return answer as NonNullable<T>
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
