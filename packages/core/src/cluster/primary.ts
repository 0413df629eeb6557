// The primary: starts the workers, keeps their number, and talks with them.

import cluster from 'node:cluster'
import { EventEmitter } from 'eventemitter3'
import { nanoid } from 'nanoid/non-secure'
import { ClusterPeer } from '../cluster-peer.js'
import { InvalidOptionError, NotPrimaryError, NoWorkerError, WorkerBootError } from '../errors.js'
import { Peer } from '../peer.js'
import { holdingClock } from './clock.js'
import { primaryControl } from './control.js'
import type { PrimaryEvents, WorkerInfo } from './events.js'
import { BOOT_FAILED, exitWithIfUncaught } from './exit.js'
import { warnOfForeignSettings } from './fork.js'
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

/** Milliseconds that what is running gets when an error that nothing caught ends the process, and that its workers get to end after that. */
const CRASH_GRACE = 500
const KILL_GRACE = 1_000

/** The primary of a cluster. Made by {@link startPrimary}. */
export class Primary extends ClusterPeer {
  /** Tells of the cluster's life. */
  readonly events: EventEmitter<PrimaryEvents> = new EventEmitter()
  readonly #options: CheckedOptions
  readonly #pool: WorkerPool
  #state: PrimaryState = 'starting'
  #settingUp = false
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
    this.peer.recaller = (number, lastId) => this.#pool.recall(number, lastId)
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
      await this.#pool.start(async () => {
        this.#settingUp = true
        await setup(this)
        this.#settingUp = false
      })
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
    this.#assertSetUp('reload()')
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
    this.#assertSetUp('scale()')
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
    const { ending } = this.#pool
    const deadline = holdingClock.now() + graceMs
    // What had to be ended by force before is no part of this.
    ending.forced = false
    this.#pool.stop()
    // All at once: what the front waits for may be what a worker's hook ends. Until the last is done, they go on answering each other.
    const { workers } = this.#pool
    const drains = this.#pool.drainAll(graceMs)
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
      fail: () => {
        this.#closing ??= this.#close(CRASH_GRACE)
        return atMost(CRASH_GRACE + KILL_GRACE, this.#closing).then(() => this.#pool.killAll())
      },
      forced: () => this.#pool.ending.forced,
      kill: () => this.#pool.killAll(),
      reload: () =>
        this.reload().catch((error: unknown) =>
          this.#options.onError(error, 'the reload that SIGHUP asked for'),
        ),
    })
  }

  /** What is asked for during the setup would wait for the start, and the start for the setup. */
  #assertSetUp(what: string): void {
    if (this.#settingUp)
      throw new InvalidOptionError(
        `primary.${what} was called in setup, where there are no workers yet; call it when startPrimary() has resolved`,
      )
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
