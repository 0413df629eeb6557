// The primary: starts the workers, keeps their number, and talks with them.

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { EventEmitter } from 'eventemitter3'
import { nanoid } from 'nanoid'
import { call } from '../call.js'
import { ClusterPeer } from '../cluster-peer.js'
import { DrainingError, InvalidOptionError } from '../errors.js'
import { Peer } from '../peer.js'
import { Route } from '../routing.js'
import { Backoff } from './backoff.js'
import { systemClock } from './clock.js'
import { primaryControl, workerControl } from './control.js'
import {
  atMost,
  createChannels,
  createScopes,
  printError,
  showCallSites,
  showStacks,
} from './process.js'
import { Router } from './router.js'
import { closeOnSignals } from './signals.js'
import {
  bootError,
  type ForkOptions,
  type WorkerExit,
  WorkerProcess,
  type WorkerState,
} from './supervisor.js'

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
  /** The largest message, in bytes; the workers must be given the same. Default 16 MiB */
  readonly maxFrameBytes?: number
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
 * @throws InvalidOptionError; WorkerBootError when a worker exits or hangs before it is ready (the others are then stopped)
 */
export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  const primary = new Primary(checked(options))
  await primary.start()
  return primary
}

type CheckedOptions = Required<Omit<PrimaryOptions, 'execArgv' | 'maxFrameBytes' | 'exec'>> & {
  readonly [K in 'execArgv' | 'maxFrameBytes']: PrimaryOptions[K] | undefined
} & {
  readonly exec: string
}

/** The primary of a cluster. Made by {@link startPrimary}. */
export class Primary extends ClusterPeer {
  /** Tells of the cluster's life. */
  readonly events: EventEmitter<PrimaryEvents> = new EventEmitter()
  readonly #options: CheckedOptions
  readonly #router: Router
  readonly #processes = new Map<number, WorkerProcess>()
  readonly #becameReady = new Map<number, () => void>()
  readonly #backoff = new Backoff()
  readonly #restarts = new Set<NodeJS.Timeout>()
  #stopSignals: () => void = () => {}
  #closing: Promise<void> | undefined

  constructor(options: CheckedOptions) {
    const router = new Router(
      (linkTo, announce) =>
        new Peer({
          id: nanoid(),
          number: 0,
          clock: systemClock,
          linkTo,
          announce,
          stacks: showStacks(),
          callSites: showCallSites(),
          scopes: createScopes(),
          channels: createChannels(),
        }),
    )
    super(router.peer, options.onError)
    this.#options = options
    this.#router = router
    this.serve(primaryControl, { ready: (_input, { from }) => this.#ready(from.number) })
  }

  /** The workers that live, in the order in which they were started. */
  get workers(): WorkerInfo[] {
    return [...this.#processes.values()].map((worker) => this.#infoOf(worker))
  }

  /** Called once, by `startPrimary`. */
  async start(): Promise<void> {
    if (this.#options.signals)
      this.#stopSignals = closeOnSignals(
        () => this.close(),
        () => this.#killAll(),
      )
    try {
      await Promise.all(Array.from({ length: this.#options.workers }, () => this.#launch()))
    } catch (error) {
      this.#killAll()
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
    for (const timer of this.#restarts) clearTimeout(timer)
    const workers = [...this.#processes.values()]
    // All at once: what the front waits for may be what a worker's hook ends. Until the last is done, they go on answering each other.
    const drains = workers.map((worker) => this.#drain(worker, shutdownTimeout))
    await atMost(shutdownTimeout, Promise.all([this.runDrainHooks(), ...drains]))
    await Promise.all(workers.map((worker) => this.#end(worker, deadline)))
    this.peer.close('the cluster was closed')
    this.#stopSignals()
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

  #killAll(): void {
    for (const worker of this.#processes.values()) worker.kill('SIGKILL')
  }

  /** Starts a worker; resolves when it is ready. */
  #launch(): Promise<void> {
    const worker = new WorkerProcess(this.#forkOptions(), this.#options.maxFrameBytes)
    const { number } = worker
    this.#processes.set(number, worker)
    if (worker.link)
      this.#router.attach(number, worker.link, { left: (reason) => this.#lost(worker, reason) })
    return new Promise((resolve, reject) => {
      const bootTimer = setTimeout(() => {
        reject(
          bootError(worker, this.#options.exec, `took more than ${this.#options.bootTimeout} ms`),
        )
        worker.kill('SIGKILL')
      }, this.#options.bootTimeout)
      this.#becameReady.set(number, () => {
        clearTimeout(bootTimer)
        resolve()
      })
      worker.exited.then((exit) => {
        clearTimeout(bootTimer)
        reject(bootError(worker, this.#options.exec, exit.reason))
        this.#exited(worker, exit)
      })
    })
  }

  #forkOptions(): ForkOptions {
    const { exec, args, execArgv, env } = this.#options
    return { exec, args, execArgv, env }
  }

  #ready(number: number): void {
    const worker = this.#processes.get(number)
    if (worker === undefined || worker.state !== 'booting')
      throw new DrainingError(`Worker ${number} can't get ready: it is ${worker?.state ?? 'gone'}`)
    worker.state = 'ready'
    this.#router.setState(number, 'ready')
    this.#becameReady.get(number)?.()
    this.#becameReady.delete(number)
    this.events.emit('worker.ready', this.#infoOf(worker))
  }

  /** The link ended. A process without one is of no use, whatever state it is in. */
  #lost(worker: WorkerProcess, reason: Error | undefined): void {
    worker.lostBecause = reason
    if (worker.state !== 'draining') worker.kill('SIGKILL')
  }

  #exited(worker: WorkerProcess, exit: WorkerExit): void {
    const expected = this.#closing !== undefined
    const info = this.#infoOf(worker)
    this.#processes.delete(worker.number)
    this.#becameReady.delete(worker.number)
    const { lostBecause } = worker
    const reason = lostBecause ? `${exit.reason}: ${lostBecause.message}` : exit.reason
    this.events.emit('worker.exit', info, { ...exit, reason, expected })
    if (!expected) this.#restart()
  }

  #restart(): void {
    const timer = setTimeout(() => {
      this.#restarts.delete(timer)
      // What goes wrong is told by 'worker.exit', and the next attempt is then on its way.
      this.#launch().catch(() => undefined)
    }, this.#backoff.next(performance.now()))
    this.#restarts.add(timer)
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
  const { execArgv, maxFrameBytes } = options
  const path = typeof exec === 'string' && !exec.startsWith('file:') ? exec : fileURLToPath(exec)
  return {
    exec: path,
    workers,
    args,
    env,
    bootTimeout,
    shutdownTimeout,
    signals,
    onError,
    execArgv,
    maxFrameBytes,
  }
}
