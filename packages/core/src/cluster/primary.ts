// The primary: starts the workers, keeps their number, and talks with them.

import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { EventEmitter } from 'eventemitter3'
import { nanoid } from 'nanoid'
import { call } from '../call.js'
import { ClusterPeer } from '../cluster-peer.js'
import { DrainingError, InvalidOptionError, NotPrimaryError } from '../errors.js'
import { Peer } from '../peer.js'
import { Route } from '../routing.js'
import { primaryControl, workerControl } from './control.js'
import { WorkerPool } from './pool.js'
import { atMost, printError, surroundings } from './process.js'
import { Router } from './router.js'
import { closeOnSignals } from './signals.js'
import type { WorkerExit, WorkerProcess, WorkerState } from './supervisor.js'

/** How a cluster is started. */
export interface PrimaryOptions {
  /** The module that each worker runs. */
  readonly exec: URL | string
  /** How many workers. Default: one for each core */
  readonly workers?: number
  /** Arguments that each worker finds in `process.argv`. Default none */
  readonly args?: readonly string[]
  /** Options of Node itself for each worker. Default: the primary's own */
  readonly execArgv?: readonly string[]
  /** Variables added to each worker's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Milliseconds from fork to `worker.ready()`; a worker that takes longer is killed. Default 30 000 */
  readonly bootTimeout?: number
  /** Milliseconds that `close()` gives requests that are running; workers that are not done then are killed. Default 25 000 */
  readonly shutdownTimeout?: number
  /** Whether SIGINT and SIGTERM drain the cluster and end the process with code 0; a second one ends it at once. Default `true` */
  readonly signals?: boolean
  /**
   * Runs before the first worker is started: serve here what workers call while they boot. What it throws makes `startPrimary` fail.
   * Default: nothing
   */
  readonly setup?: (primary: Primary) => unknown
  /** The largest message, in bytes; the workers must be given the same. Default 16 MiB */
  readonly maxFrameBytes?: number
  /**
   * Whether the error of a failed call shows the line that made the call. It costs some microseconds with every call.
   * Default: when NODE_ENV is "development"
   */
  readonly callSites?: boolean
  /** Gets what a subscriber in the primary throws when no publisher waits for it. Default: prints it on stderr */
  readonly onError?: (error: unknown, where: string) => void
}

/** One worker, as `primary.workers` shows it. */
export interface WorkerInfo {
  readonly number: number
  readonly pid: number | undefined
  readonly state: WorkerState
  /** Calls from the primary that it has not answered. */
  readonly pending: number
}

/** Milliseconds that a worker which has drained gets to end its process. */
const EXIT_GRACE = 1_000

/** What happens in a cluster's life. */
export interface PrimaryEvents {
  'worker.ready': [worker: WorkerInfo]
  /** A process ended. `expected`: because it was told to. */
  'worker.exit': [worker: WorkerInfo, exit: WorkerExit & { readonly expected: boolean }]
}

/**
 * Starts the workers and resolves when all of them are ready.
 *
 * @throws InvalidOptionError; NotPrimaryError in a worker; WorkerBootError when a worker exits or hangs before it is ready (the others are then stopped)
 */
export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  if (!cluster.isPrimary)
    throw new NotPrimaryError(
      'startPrimary() was called in a worker; there, call joinCluster(). Give startPrimary({ exec }) a module of its own',
    )
  const primary = new Primary(checked(options))
  await primary.start()
  return primary
}

type Optional = 'execArgv' | 'maxFrameBytes' | 'callSites'
type CheckedOptions = Required<Omit<PrimaryOptions, Optional | 'exec'>> & {
  readonly [K in Optional]: PrimaryOptions[K] | undefined
} & {
  readonly exec: string
}

/** The primary of a cluster. Made by {@link startPrimary}. */
export class Primary extends ClusterPeer {
  /** Tells of the cluster's life. */
  readonly events: EventEmitter<PrimaryEvents> = new EventEmitter()
  readonly #options: CheckedOptions
  readonly #router: Router
  readonly #pool: WorkerPool
  #stopSignals: () => void = () => {}
  #closing: Promise<void> | undefined

  constructor(options: CheckedOptions) {
    const router = new Router(
      (linkTo, announce) =>
        new Peer({
          id: nanoid(),
          number: 0,
          linkTo,
          announce,
          ...surroundings(options.callSites),
        }),
      { onError: options.onError },
    )
    super(router.peer, options.onError)
    this.#options = options
    this.#router = router
    const { exec, args, execArgv, env } = options
    this.#pool = new WorkerPool(router, {
      size: options.workers,
      fork: { exec, args, execArgv, env },
      bootTimeout: options.bootTimeout,
      maxFrameBytes: options.maxFrameBytes,
      onReady: (worker) => this.#emit('worker.ready', this.#infoOf(worker)),
      onExit: (worker, exit) =>
        this.#emit('worker.exit', this.#infoOf(worker), {
          ...exit,
          expected: worker.isExpectedToEnd || this.#closing !== undefined,
        }),
      onError: (error) => options.onError(error, 'a worker could not be started again'),
    })
    this.serve(primaryControl, {
      ready: (_input, { from }) => this.#ready(from.number),
      retire: (_input, { from }) => this.#retire(from.number),
    })
  }

  /** The workers that live, in the order in which they were started. */
  get workers(): WorkerInfo[] {
    return this.#pool.workers.map((worker) => this.#infoOf(worker))
  }

  /** Called once, by `startPrimary`. */
  async start(): Promise<void> {
    if (this.#options.signals)
      this.#stopSignals = closeOnSignals(
        () => this.close(),
        () => this.#pool.killAll(),
      )
    try {
      await this.#options.setup(this)
      await this.#pool.start()
    } catch (error) {
      this.#pool.stop()
      this.#pool.killAll()
      await this.close()
      throw error
    }
  }

  /**
   * Ends the cluster: stops taking work in, lets what is running finish, ends the workers. Calling it again returns the same promise.
   * Resolves when no worker is left.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { shutdownTimeout } = this.#options
    const deadline = performance.now() + shutdownTimeout
    this.#pool.stop()
    const { workers } = this.#pool
    // All at once: what the front waits for may be what a worker's hook ends. Until the last is done, they go on answering each other.
    const drains = workers.map((worker) => this.#drain(worker, shutdownTimeout))
    await atMost(shutdownTimeout, Promise.all([this.runDrainHooks(), ...drains]))
    await Promise.all(workers.map((worker) => this.#end(worker, deadline)))
    this.peer.close('the cluster was closed')
    this.#stopSignals()
  }

  #ready(number: number): void {
    const worker = this.#pool.find(number)
    if (worker === undefined || worker.state === 'draining')
      throw new DrainingError(`Worker ${number} can't get ready: it is to end`)
    this.#pool.ready(worker)
  }

  /** Lets one worker finish and end; the pool then starts another in its place. */
  async #retire(number: number): Promise<void> {
    const worker = this.#pool.find(number)
    if (worker === undefined || worker.state !== 'ready' || this.#closing !== undefined) return
    const { shutdownTimeout } = this.#options
    const deadline = performance.now() + shutdownTimeout
    worker.isExpectedToEnd = true
    this.#router.setState(number, 'draining')
    // Not awaited: this call is itself something that the worker waits for.
    const ended = this.#drain(worker, shutdownTimeout).then(() => this.#end(worker, deadline))
    ended.catch((error: unknown) =>
      this.#options.onError(error, `worker ${number} could not be ended`),
    )
  }

  /** Lets a worker finish; resolves when it has, or never will. */
  async #drain(worker: WorkerProcess, graceMs: number): Promise<void> {
    if (worker.state !== 'ready') return worker.kill('SIGKILL') // It has not begun anything.
    const route = new Route(this.peer, workerControl.drain, { to: worker.number })
    try {
      await call({ route, input: { graceMs }, options: { timeout: graceMs + 500 } })
    } catch {
      worker.kill('SIGKILL') // It is gone, or stuck: either way there is nothing to wait for.
    }
  }

  /** Ends a worker that has drained, which takes no time; by force when it does. */
  async #end(worker: WorkerProcess, deadline: number): Promise<void> {
    if (worker.state === 'dead') return
    worker.state = 'draining'
    this.#router.setState(worker.number, 'draining')
    const kill = () => worker.kill('SIGKILL')
    const timer = setTimeout(kill, Math.max(0, deadline - performance.now()) + EXIT_GRACE)
    await worker.link?.close()
    await worker.exited
    clearTimeout(timer)
  }

  /** A listener is the user's: what it throws is told, and goes no further. */
  #emit<E extends keyof PrimaryEvents>(event: E, ...args: PrimaryEvents[E]): void {
    try {
      this.events.emit(event, ...(args as never))
    } catch (error) {
      this.#options.onError(error, `a listener of "${event}"`)
    }
  }

  #infoOf({ number, pid, state }: WorkerProcess): WorkerInfo {
    return { number, pid, state, pending: this.peer.directory.get(number)?.pending ?? 0 }
  }
}

function checked(options: PrimaryOptions): CheckedOptions {
  const {
    exec,
    workers = availableParallelism(),
    args = [],
    env = {},
    bootTimeout = 30_000,
    shutdownTimeout = 25_000,
    signals = true,
    setup = () => {},
    onError = printError,
  } = options ?? {}
  if (!(exec instanceof URL) && typeof exec !== 'string')
    throw new InvalidOptionError(
      'startPrimary({ exec }): the module that each worker runs is needed, a file URL or a path',
    )
  if (!Number.isInteger(workers) || workers < 1 || workers > 1024)
    throw new InvalidOptionError(
      `startPrimary({ workers }): a whole number from 1 to 1024 is allowed, got ${String(workers)}`,
    )
  for (const [name, value] of Object.entries({ bootTimeout, shutdownTimeout }))
    if (!(value > 0 && value < 2 ** 31))
      throw new InvalidOptionError(
        `startPrimary({ ${name} }): milliseconds, more than 0 and less than 2^31, are allowed, got ${String(value)}`,
      )
  const { callSites, execArgv, maxFrameBytes } = options
  const path = typeof exec === 'string' && !exec.startsWith('file:') ? exec : fileURLToPath(exec)
  return {
    exec: path,
    workers,
    args,
    env,
    bootTimeout,
    shutdownTimeout,
    signals,
    setup,
    onError,
    execArgv,
    maxFrameBytes,
    callSites,
  }
}
