// One worker's life, from fork to exit.
//
//   booting ──ready──▶ ready ──drain──▶ draining ──exit──▶ dead
//      └──────────────exit or kill at any time─────────────▲

import cluster, { type ClusterSettings, type Worker } from 'node:cluster'
import type { Socket } from 'node:net'
import { WorkerBootError } from '../errors.js'
import { SocketLink } from '../transports/socket.js'
import { atMost } from './process.js'

/** Where a worker is in its life. */
export type WorkerState = 'booting' | 'ready' | 'draining' | 'dead'

/** How a worker's process ended. */
export interface WorkerExit {
  readonly code: number | null
  readonly signal: string | null
  /** In words: `exited with code 1`, `was killed by SIGKILL`, `could not be started: …`. */
  readonly reason: string
}

/** How workers are started. */
export interface ForkOptions {
  readonly exec: string
  readonly args: readonly string[]
  readonly execArgv: readonly string[] | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The file descriptor of the private link in a worker, and the environment variable that tells it so. */
export const LINK_FD = 4
export const LINK_ENV = 'CLUSTERWIRE_LINK_FD'

/** Milliseconds that a link may take to end after its process has: everything it sent is to be read first. */
const LAST_WORDS = 1_000

/** A worker's process and its link. */
export class WorkerProcess {
  readonly number: number
  readonly startedAt: number = performance.now()
  readonly link: SocketLink | undefined
  /** Resolves when it has said that it is ready. */
  readonly ready: Promise<void>
  /** To be called when it has. */
  becameReady: () => void = () => {}
  /** Resolves when the process has ended and the last frame it sent has been read. */
  readonly exited: Promise<WorkerExit>
  state: WorkerState = 'booting'
  /** It has been told to end. */
  isExpectedToEnd = false
  readonly #worker: Worker
  /** Why this process was ended, when it was from here. */
  #because: Error | undefined
  #linkEnded: () => void = () => {}

  /** @throws what fork throws */
  constructor(options: ForkOptions, maxFrameBytes: number | undefined) {
    this.#worker = fork(options)
    this.number = this.#worker.id
    const socket = this.#worker.process.stdio?.[LINK_FD] as Socket | null | undefined
    this.link = socket ? new SocketLink(socket, maxFrameBytes) : undefined
    this.ready = new Promise((resolve) => {
      this.becameReady = resolve
    })
    const linkEnded = new Promise<void>((resolve) => {
      this.#linkEnded = resolve
    })
    if (this.link === undefined) this.#linkEnded()
    this.exited = exitOf(this.#worker).then(async (exit) => {
      await atMost(LAST_WORDS, linkEnded)
      const reason = this.#because ? `${exit.reason}: ${this.#because.message}` : exit.reason
      return { ...exit, reason }
    })
  }

  get pid(): number | undefined {
    return this.#worker.process.pid
  }

  /** Sends a signal; one to a process that is gone does nothing. `because`: what `exited` will say besides. */
  kill(signal: NodeJS.Signals, because?: Error): void {
    this.#because ??= because
    this.#worker.process.kill(signal)
  }

  /** Its link has ended. A process without one is of no use, whatever state it is in. */
  linkEnded(because: Error | undefined): void {
    this.#linkEnded()
    if (this.state !== 'draining') this.kill('SIGKILL', because)
  }

  toString(): string {
    return `worker ${this.number} (pid ${this.pid ?? 'none'})`
  }
}

/** Forks with settings of our own, and leaves those of the process as they were: it may fork workers of its own. */
function fork({ exec, args, execArgv, env }: ForkOptions): Worker {
  const global = cluster as { settings: ClusterSettings }
  const before = global.settings
  global.settings = {}
  try {
    cluster.setupPrimary({
      exec,
      args: [...args],
      execArgv: [...(execArgv ?? process.execArgv)],
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'],
    } as ClusterSettings)
    return cluster.fork({ ...env, [LINK_ENV]: String(LINK_FD) })
  } finally {
    global.settings = before
  }
}

/** Node tells the end of a process in events whose order differs between versions; the first that is final counts. */
function exitOf(worker: Worker): Promise<WorkerExit> {
  return new Promise((resolve) => {
    const { process: child } = worker
    child.once('exit', (code, signal) => {
      const reason = signal === null ? `exited with code ${code}` : `was killed by ${signal}`
      resolve({ code, signal, reason })
    })
    // Always there: an 'error' without a listener would end the primary. One without a pid means that there is no process.
    worker.on('error', (error: Error) => {
      if (child.pid === undefined)
        resolve({ code: null, signal: null, reason: `could not be started: ${error.message}` })
    })
  })
}

/** What is said when a worker ended or hung before it was ready. */
export function bootError(worker: WorkerProcess, exec: string, what: string): WorkerBootError {
  return new WorkerBootError(
    `${worker} ${what}, before it was ready; see what ${exec} has printed, and make sure that it calls joinCluster() and then worker.ready()`,
  )
}
