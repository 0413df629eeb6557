// A worker: joins the cluster that started its process, and leaves it when told to.

import cluster from 'node:cluster'
import { inspect } from 'node:util'
import { nanoid } from 'nanoid/non-secure'
import { Clients } from '../client.js'
import { ClusterPeer } from '../cluster-peer.js'
import { DrainingError, InvalidOptionError, NotInClusterError } from '../errors.js'
import type { Client } from '../infer.js'
import type { Peer } from '../peer.js'
import { SharedMemory } from '../transports/shared-memory.js'
import { SocketLink } from '../transports/socket.js'
import { primaryControl, workerControl } from './control.js'
import { CRASHED, ORPHANED } from './exit.js'
import { LINK_ENV, MEMORY_ENV, WATCHDOG_ENV } from './fork.js'
import { atMost, outliveReaders, printError, surroundings } from './process.js'
import { Turnstile } from './turnstile.js'
import { joinOver } from './uplink.js'
import { createMeter } from './vitals.js'
import { startWatchdog } from './watchdog.js'

/** Milliseconds that what is running gets when an error that nothing caught ends the process. */
const CRASH_GRACE = 100

/** How a worker joins. */
export interface WorkerOptions {
  /** The largest message, in bytes; must be what the primary was given. Default 16 MiB */
  readonly maxFrameBytes?: number | undefined
  /**
   * Whether the error of a failed call shows the line that made the call. It costs some microseconds with every call.
   * Default: when NODE_ENV is "development"
   */
  readonly callSites?: boolean | undefined
  /** Runs when the primary is gone, before the process ends with code 75. Default: nothing */
  readonly onOrphaned?: (() => unknown) | undefined
  /** Milliseconds that `onOrphaned` may take, 1 000 at most. Default 1 000 */
  readonly orphanGrace?: number | undefined
  /**
   * What follows from an error that nothing catches, when no other listener of `uncaughtException` decides that: `exit` prints it, tells the
   * primary, and ends the process with code 70; `node` leaves it to Node. Default `exit`
   */
  readonly uncaught?: 'exit' | 'node' | undefined
  /** Gets what a subscriber throws when no publisher waits for it. Default: prints it on stderr */
  readonly onError?: ((error: unknown, where: string) => void) | undefined
}

/** This process's part in the cluster: it has one link, so it joins once. */
interface Membership {
  /** There from the first attempt on. */
  worker?: Promise<ClusterWorker> | undefined
  /** The app has joined by itself, and says itself when it is ready. */
  byApp: boolean
}

/** Kept with the process and not with this module, which a program may load twice: as ESM and as CommonJS. */
const MEMBERSHIP = Symbol.for('@clusterwire/core.membership')
const globals = globalThis as { [MEMBERSHIP]?: Membership }
globals[MEMBERSHIP] ??= { byApp: false }
const membership: Membership = globals[MEMBERSHIP]

/**
 * Joins the cluster. Calling it again returns the same worker.
 *
 * @throws NotInClusterError when `startPrimary()` did not start this process; InvalidOptionError
 */
export function joinCluster(options: WorkerOptions = {}): Promise<ClusterWorker> {
  membership.byApp = true
  return memberBy(options)
}

/** One that could not join may try again. */
function memberBy(options: WorkerOptions): Promise<ClusterWorker> {
  membership.worker ??= join(options).catch((error: unknown) => {
    membership.worker = undefined
    throw error
  })
  return membership.worker
}

/** Whether this process is a worker that `startPrimary()` has started: `joinCluster()` works here. */
export function isClusterWorker(): boolean {
  return membership.worker !== undefined || (cluster.isWorker && Number(process.env[LINK_ENV]) > 0)
}

/** A membership that the app did not ask for. */
export interface AdoptedMembership {
  readonly worker: Promise<ClusterWorker>
  /** Whether the app has joined by itself after all, or before: then it is the app that says when it is ready. */
  readonly joinedByApp: boolean
}

/**
 * Joins for an app that need not know of the cluster, as an adapter does: with the default options, unless the app has joined already.
 * The app may call `joinCluster()` still, and gets the same worker.
 */
export function joinForApp(): AdoptedMembership {
  return {
    worker: memberBy({}),
    get joinedByApp() {
      return membership.byApp
    },
  }
}

async function join(options: WorkerOptions): Promise<ClusterWorker> {
  const { callSites, maxFrameBytes, onError = printError, uncaught = 'exit' } = options
  check(options)
  const fd = Number(process.env[LINK_ENV])
  if (!cluster.isWorker || !fd)
    throw new NotInClusterError(
      'joinCluster() works in a process that startPrimary({ exec }) has started; run the primary instead',
    )
  const watchdogFd = Number(process.env[WATCHDOG_ENV])
  const memoryFd = Number(process.env[MEMORY_ENV])
  // Its own children have no part in it.
  delete process.env[MEMORY_ENV]
  delete process.env[LINK_ENV]
  delete process.env[WATCHDOG_ENV]
  // The terminal sends Ctrl-C to every process; only the primary decides what follows from it. And a closed terminal ends no worker.
  process.on('SIGINT', () => {}).on('SIGHUP', () => {})
  outliveReaders()
  const turnstile = new Turnstile()
  if (watchdogFd) startWatchdog({ fd: watchdogFd, turnstile, onError })
  const memory = memoryFd ? SharedMemory.inWorker(memoryFd) : undefined
  const link = new SocketLink({ fd }, maxFrameBytes, memory)
  let worker: ClusterWorker | undefined
  const peer = await joinOver({
    link,
    hello: { id: nanoid(), pid: process.pid },
    ...surroundings(callSites),
    // The primary ends the link of a worker that has drained. Otherwise, the primary itself has ended.
    onLost(reason) {
      if (reason !== undefined) onError(reason, 'the link to the primary broke')
      if (worker?.drained) process.exit(0)
      orphaned(options).finally(() => process.exit(ORPHANED))
    },
  })
  if (watchdogFd) peer.turnstile = turnstile
  // Else node:cluster ends this process with code 0 as soon as the primary is gone.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
  worker = new ClusterWorker(peer, onError)
  // When that can't be asked any more, the link's end has been seen, and says the rest.
  process.on('SIGTERM', () => {
    if (!worker?.draining) worker?.retire().catch(() => {})
  })
  if (uncaught === 'exit') process.on('uncaughtException', (error) => worker?.fail(error))
  return worker
}

async function orphaned({
  onOrphaned,
  orphanGrace = 1_000,
  onError = printError,
}: WorkerOptions): Promise<void> {
  if (onOrphaned === undefined) return
  const ran = Promise.resolve()
    .then(onOrphaned)
    .catch((error: unknown) => onError(error, 'onOrphaned'))
  await atMost(orphanGrace, ran)
}

function check({ orphanGrace = 1, uncaught = 'exit' }: WorkerOptions): void {
  if (!(orphanGrace > 0 && orphanGrace <= 1_000))
    throw new InvalidOptionError(
      `joinCluster({ orphanGrace }): milliseconds, more than 0 and at most 1000, are allowed, got ${String(orphanGrace)}`,
    )
  if (uncaught !== 'exit' && uncaught !== 'node')
    throw new InvalidOptionError(
      `joinCluster({ uncaught }): "exit" or "node" is allowed, got ${String(uncaught)}`,
    )
}

/** A worker of a cluster. Made by {@link joinCluster}. */
export class ClusterWorker extends ClusterPeer {
  readonly #primary: Client<typeof primaryControl>
  /** Calls of `drain` that are being answered: one may come while another runs. */
  #drains = 0
  #drained: Promise<void> | undefined
  #isDrained = false
  #failed = false

  constructor(peer: Peer, onError: (error: unknown, where: string) => void) {
    super(peer, onError)
    this.#primary = new Clients(peer).create(primaryControl, { to: 'primary' })
    const measure = createMeter()
    // What the primary asks about the worker itself is none of its work.
    let questions = 0
    this.serve(workerControl, {
      drain: ({ graceMs }) => this.#drain(graceMs),
      beat: () => {
        questions++
        const { abandoned, handled, serving } = this.peer
        return { ...measure(), abandoned, handled: handled - questions, serving: serving - 1 }
      },
      stats: () => {
        questions++
        return this.peer.statsData()
      },
    })
  }

  /** Whether it has been told to finish. */
  get draining(): boolean {
    return this.#drained !== undefined
  }

  /** Whether it has finished, or its time for that is over: the primary then ends its link. */
  get drained(): boolean {
    return this.#isDrained && this.#drains === 0
  }

  /**
   * Tells the cluster that this worker takes work from now on. To be called when everything is served and subscribed.
   *
   * @throws DrainingError when it has been told to finish meanwhile
   */
  async ready(): Promise<void> {
    if (this.draining) throw new DrainingError('This worker is draining and takes no work any more')
    await this.#primary.ready()
  }

  /** Asks to be let go: what is running finishes, the process ends, and another takes its place. SIGTERM does the same. */
  async retire(): Promise<void> {
    await this.#primary.retire()
  }

  /** An error that nothing caught is to end this process: it tells of that, and what is nearly done gets done. Called by `joinCluster`. */
  async fail(error: unknown): Promise<void> {
    // Whoever else listens decides what it means.
    if (process.listenerCount('uncaughtException') > 1 || this.#failed) return
    // Most likely a call that the primary's end has cut off. `onOrphaned` is running, and the process ends after that.
    if (this.peer.closed)
      return printError(error, `worker ${this.number}, whose primary is gone, did not catch`)
    this.#failed = true
    printError(error, `an error that nothing caught ends worker ${this.number}`)
    const text = error instanceof Error ? `${error.name}: ${error.message}` : inspect(error)
    const told = this.#primary.failing({ error: text.slice(0, 1_000) })
    await atMost(CRASH_GRACE, Promise.all([told, this.peer.quiet()]))
    // What was answered last may stand in the link's buffer still.
    await atMost(CRASH_GRACE, this.#sent())
    process.exit(CRASHED)
  }

  async #drain(graceMs: number): Promise<{ readonly done: boolean }> {
    this.#drains++
    this.#drained ??= this.#finish()
    const done = await atMost(graceMs, this.#drained)
    this.#isDrained = true
    this.#drains--
    return { done }
  }

  async #finish(): Promise<void> {
    await this.runDrainHooks()
    await this.peer.quiet(() => this.#drains)
    // The word that all is done would overtake the streams' last data, and then the primary ends the link.
    await this.#sent()
  }

  /** Resolves when all that this worker has sent is out of its process. */
  #sent(): Promise<void> {
    return new Promise((sent) => this.peer.linkToEveryone().flush(sent, true))
  }
}
