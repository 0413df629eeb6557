// The primary: starts the workers, keeps their number, and talks with them.

import cluster from 'node:cluster'
import { EventEmitter } from 'eventemitter3'
import { nanoid } from 'nanoid'
import { ClusterPeer } from '../cluster-peer.js'
import { NotPrimaryError, NoWorkerError, WorkerBootError } from '../errors.js'
import { Peer } from '../peer.js'
import { holdingClock } from './clock.js'
import { primaryControl } from './control.js'
import type { PrimaryEvents, WorkerInfo } from './events.js'
import { BOOT_FAILED } from './exit.js'
import { foreignSettings } from './fork.js'
import { type ClusterStats, gatherStats } from './gather-stats.js'
import {
  type CheckedOptions,
  type ClusterOptions,
  checkFunction,
  checkOptions,
  checkWorkers,
} from './options.js'
import { tellPm2 } from './pm2.js'
import { WorkerPool } from './pool.js'
import { atMost, surroundings } from './process.js'
import { Router } from './router.js'
import { heedSignals } from './signals.js'
import type { WorkerProcess } from './worker-process.js'

/** How a cluster is started. */
export interface PrimaryOptions extends ClusterOptions {
  /**
   * Runs before the first worker is started: serve here what workers call while they boot. What it throws makes `startPrimary` fail.
   * Default: nothing
   */
  readonly setup?: ((primary: Primary) => unknown) | undefined
}

/**
 * Starts the workers and resolves when all of them are ready.
 *
 * @throws InvalidOptionError; NotPrimaryError in a worker; WorkerBootError when a worker exits or hangs before it is ready (the others are then
 *   stopped, and a process that does not catch the error ends with code 3)
 */
export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  if (!cluster.isPrimary)
    throw new NotPrimaryError(
      'startPrimary() was called in a worker; there, call joinCluster(). Give startPrimary({ exec }) a module of its own',
    )
  const checked = checkOptions(options)
  const { setup = () => {} } = options
  checkFunction('setup', setup)
  const primary = new Primary(checked)
  await primary.start(setup)
  return primary
}

/** What a cluster is doing. `degraded`: some places have failed so often that they are left alone for a while. */
export type PrimaryState = 'starting' | 'running' | 'degraded' | 'closing' | 'closed'

/** The primary of a cluster. Made by {@link startPrimary}. */
export class Primary extends ClusterPeer {
  /** Tells of the cluster's life. */
  readonly events: EventEmitter<PrimaryEvents> = new EventEmitter()
  readonly #options: CheckedOptions
  readonly #pool: WorkerPool
  #state: PrimaryState = 'starting'
  #ignoreSignals: () => void = () => {}
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
    this.#pool = this.#createPool(router)
    this.serve(primaryControl, {
      ready: (_input, { from }) => this.#pool.ready(from.number),
      retire: (_input, { from }) => this.#pool.retire(from.number),
      failing: ({ error }, { from }) => this.#pool.failing(from.number, error),
    })
  }

  /** What it is doing. */
  get state(): PrimaryState {
    return this.#state
  }

  /** The workers that live, in the order in which they were started. */
  get workers(): WorkerInfo[] {
    return this.#pool.workers.map((worker) => this.#infoOf(worker))
  }

  /** Called once, by `startPrimary`. */
  async start(setup: (primary: Primary) => unknown): Promise<void> {
    warnOfForeignSettings()
    if (this.#options.signals) this.#heedSignals()
    try {
      await setup(this)
      await this.#pool.start()
    } catch (error) {
      this.#pool.stop()
      this.#pool.killAll()
      await this.close()
      if (error instanceof WorkerBootError) exitWithIfUncaught(error, BOOT_FAILED)
      throw error
    }
    if (this.#state === 'starting') this.#state = 'running'
    tellPm2()
  }

  /**
   * Replaces all workers by new ones, one after the other: each new one is ready before the old one stops taking requests, and the old one
   * finishes what it has begun. Begins when what was called before it (another reload, `scale`) is done.
   *
   * @throws WorkerBootError when a new worker does not get ready: the old ones that have not been replaced go on; DrainingError when the cluster is closed
   */
  async reload(): Promise<void> {
    let generation: number | undefined
    try {
      await this.#pool.reload((begun) => {
        generation = begun
        this.#emit('reload.start', { generation })
      })
    } catch (error) {
      if (generation !== undefined) this.#emit('reload.aborted', { generation, error })
      throw error
    }
    this.#emit('reload.done', { generation: this.#pool.generation })
  }

  /**
   * Makes the workers more or fewer. Those that go finish what they have begun. Begins when what was called before it is done.
   *
   * @throws InvalidOptionError; WorkerBootError when a new worker does not get ready (there are then as many as before); DrainingError
   */
  async scale(workers: number): Promise<void> {
    checkWorkers(workers, 'primary.scale(workers)')
    await this.#pool.scale(workers)
    this.#emit('scaled', { workers })
  }

  /**
   * Asks every worker what it has done since its start: calls, requests, errors and times, by procedure, and the same of the primary and of all
   * together. A worker that does not answer within 5 s is left out.
   */
  stats(): Promise<ClusterStats> {
    return gatherStats(this.peer, this.workers)
  }

  /**
   * Ends the cluster: stops taking work in, lets what is running finish, ends the workers. Calling it again returns the same promise.
   * Resolves when no worker is left.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close(this.#options.shutdownTimeout)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    this.#state = 'closing'
    this.#emit('closing')
    const { ending, workers } = this.#pool
    const deadline = holdingClock.now() + graceMs
    // What had to be ended by force before is no part of this.
    ending.forced = false
    this.#pool.stop()
    // All at once: what the front waits for may be what a worker's hook ends. Until the last is done, they go on answering each other.
    const drains = workers.map((worker) => ending.drain(worker, graceMs))
    const drained = await atMost(graceMs, Promise.all([this.runDrainHooks(), ...drains]))
    if (!drained) ending.forced = true
    await Promise.all(workers.map((worker) => ending.finish(worker, deadline)))
    this.peer.close('the cluster was closed')
    this.#ignoreSignals()
    this.#state = 'closed'
  }

  #createPool(router: Router): WorkerPool {
    const options = this.#options
    const { exec, args, execArgv, env, watchdog } = options
    const tell =
      <E extends keyof PrimaryEvents>(event: E) =>
      (worker: WorkerProcess) =>
        this.#emit(event, ...([this.#infoOf(worker)] as never))
    return new WorkerPool(router, {
      ...options,
      size: options.workers,
      fork: { exec, args, execArgv, env, watchdog },
      clock: holdingClock,
      events: {
        forked: tell('worker.fork'),
        ready: tell('worker.ready'),
        recovered: tell('worker.recovered'),
        draining: tell('worker.draining'),
        suspect: (worker, silentMs) =>
          this.#emit('worker.suspect', this.#infoOf(worker), { silentMs }),
        stuck: (worker, silentMs, report) =>
          this.#emit('worker.stuck', this.#infoOf(worker), { silentMs, report }),
        recycle: (worker, reason) => this.#emit('worker.recycle', this.#infoOf(worker), { reason }),
        exited: (worker, exit) => {
          const expected = exit.kind === 'told' || this.#closing !== undefined
          this.#emit('worker.exit', this.#infoOf(worker), { ...exit, expected })
        },
        resting: (places) => this.#rest(places),
        error: options.onError,
      },
    })
  }

  #heedSignals(): void {
    this.#ignoreSignals = heedSignals({
      drain: () => this.close(),
      forced: () => this.#pool.ending.forced,
      kill: () => this.#pool.killAll(),
      reload: () =>
        this.reload().catch((error: unknown) =>
          this.#options.onError(error, 'the reload that SIGHUP asked for'),
        ),
    })
  }

  /** So many places have failed too often. */
  #rest(resting: number): void {
    const { waiting } = this.peer
    if (this.#closing !== undefined) return
    // From where one works, others can wait for it.
    if (resting < this.#pool.size) waiting.open()
    if (resting === 0) {
      this.#state = 'running'
      return this.#emit('recovered')
    }
    this.#state = 'degraded'
    this.#emit('degraded', { resting, workers: this.#pool.size })
    if (resting < this.#pool.size) return
    const why = 'every worker has failed again and again; see what they have printed'
    waiting.shut(
      (procedure) => new NoWorkerError(`${procedure}: no worker is there: ${why}`, { procedure }),
    )
    if (this.#options.crashLoop === 'wait') return
    this.#options.onError(new WorkerBootError(`The cluster is closed: ${why}`), 'crash loop')
    this.close().finally(() => process.exit(1))
  }

  /** A listener is the user's: what it throws is told, and goes no further. */
  #emit<E extends keyof PrimaryEvents>(event: E, ...args: PrimaryEvents[E]): void {
    try {
      this.events.emit(event, ...(args as never))
    } catch (error) {
      this.#options.onError(error, `a listener of "${event}"`)
    }
  }

  #infoOf(worker: WorkerProcess): WorkerInfo {
    const { number, pid, state, generation, restarts, startedAt, vitals } = worker
    return {
      number,
      pid,
      state,
      generation,
      uptime: holdingClock.now() - startedAt,
      restarts,
      pending: this.peer.directory.get(number)?.pending ?? 0,
      rss: vitals?.rss,
      utilization: vitals?.utilization,
    }
  }
}

function warnOfForeignSettings(): void {
  const names = foreignSettings()
  if (names.length > 0)
    process.emitWarning(
      `cluster.setupPrimary() has been called with ${names.join(', ')}, perhaps by another library. Clusterwire's workers are started without that: pass exec, args, execArgv and env to startPrimary()`,
      { type: 'ClusterwireWarning', code: 'CLUSTERWIRE_FOREIGN_SETTINGS' },
    )
}

/** A supervisor is to tell a program that does not start from one that has crashed. */
function exitWithIfUncaught(error: Error, code: number): void {
  process.on('uncaughtExceptionMonitor', (uncaught) => {
    if (uncaught !== error) return
    process.on('exit', () => {
      process.exitCode = code
    })
  })
}
