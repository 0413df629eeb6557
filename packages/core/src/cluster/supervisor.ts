// One worker's life, from fork to exit.
//
//   booting ──ready──▶ ready ──drain──▶ draining ──exit──▶ dead
//      └──────────────exit or kill at any time─────────────▲

import cluster, { type ClusterSettings, type Worker } from 'node:cluster'
import type { Socket } from 'node:net'
import { WorkerBootError } from '../errors.js'
import { SocketLink } from '../transports/socket.js'

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

/** A worker's process and its link. */
export class WorkerProcess {
  readonly number: number
  readonly startedAt: number = performance.now()
  readonly link: SocketLink | undefined
  /** Resolves when the process has ended and its link has too: after the last frame it sent has been read. */
  readonly exited: Promise<WorkerExit>
  state: WorkerState = 'booting'
  /** What was wrong with its link, when that is why it was ended. */
  lostBecause: Error | undefined
  readonly #worker: Worker

  constructor(options: ForkOptions, maxFrameBytes: number | undefined) {
    this.#worker = fork(options)
    this.number = this.#worker.id
    const socket = this.#worker.process.stdio?.[LINK_FD] as Socket | null | undefined
    this.link = socket ? new SocketLink(socket, maxFrameBytes) : undefined
    this.exited = exitOf(this.#worker).then((exit) => {
      this.state = 'dead'
      return exit
    })
  }

  get pid(): number | undefined {
    return this.#worker.process.pid
  }

  /** Sends a signal; one to a process that is gone does nothing. */
  kill(signal: NodeJS.Signals): void {
    this.#worker.process.kill(signal)
  }

  toString(): string {
    return `worker ${this.number} (pid ${this.pid ?? 'none'})`
  }
}

function fork({ exec, args, execArgv, env }: ForkOptions): Worker {
  // The settings are the process's own and could have been changed since the last fork.
  cluster.setupPrimary({
    exec,
    args: [...args],
    ...(execArgv && { execArgv: [...execArgv] }),
    stdio: ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'],
  } as ClusterSettings)
  const worker = cluster.fork({ ...env, [LINK_ENV]: String(LINK_FD) })
  return worker
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
    `${worker} ${what} before it was ready; see what ${exec} printed above, and make sure that it calls joinCluster() and then worker.ready()`,
  )
}
