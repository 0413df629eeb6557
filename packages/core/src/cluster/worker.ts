// A worker: joins the cluster that started its process, and leaves it when told to.

import cluster from 'node:cluster'
import { nanoid } from 'nanoid'
import { call } from '../call.js'
import { ClusterPeer } from '../cluster-peer.js'
import type { Named, Procedure } from '../contract.js'
import { DrainingError, NotInClusterError } from '../errors.js'
import type { Peer } from '../peer.js'
import { Route } from '../routing.js'
import { SocketLink } from '../transports/socket.js'
import { primaryControl, workerControl } from './control.js'
import { atMost, printError, surroundings } from './process.js'
import { LINK_ENV } from './supervisor.js'
import { joinOver } from './uplink.js'

/** The exit code of a worker whose primary is gone: not 0, which would tell a supervisor that all is well. */
const ORPHANED = 75

/** How a worker joins. */
export interface WorkerOptions {
  /** The largest message, in bytes; must be what the primary was given. Default 16 MiB */
  readonly maxFrameBytes?: number
  /**
   * Whether the error of a failed call shows the line that made the call. It costs some microseconds with every call.
   * Default: when NODE_ENV is "development"
   */
  readonly callSites?: boolean
  /** Gets what a subscriber throws when no publisher waits for it. Default: prints it on stderr */
  readonly onError?: (error: unknown, where: string) => void
}

/** This process's membership, when it has joined: a process has one link, so it joins once. */
let joined: Promise<ClusterWorker> | undefined

/**
 * Joins the cluster. Calling it again returns the same worker.
 *
 * @throws NotInClusterError when `startPrimary()` did not start this process
 */
export function joinCluster(options: WorkerOptions = {}): Promise<ClusterWorker> {
  joined ??= join(options)
  return joined
}

async function join({
  callSites,
  maxFrameBytes,
  onError = printError,
}: WorkerOptions): Promise<ClusterWorker> {
  const fd = Number(process.env[LINK_ENV])
  if (!cluster.isWorker || !fd)
    throw new NotInClusterError(
      'joinCluster() works in a process that startPrimary({ exec }) has started; run the primary instead',
    )
  // Its own children have no part in it.
  delete process.env[LINK_ENV]
  // The terminal sends Ctrl-C to every process; only the primary decides what follows from it.
  process.on('SIGINT', () => {})
  const link = new SocketLink(fd, maxFrameBytes)
  let worker: ClusterWorker | undefined
  const peer = await joinOver({
    link,
    hello: { id: nanoid(), pid: process.pid },
    ...surroundings(callSites),
    // The primary ends the link of a worker that has drained. Otherwise, the primary itself has ended.
    onLost(reason) {
      if (reason !== undefined) onError(reason, 'the link to the primary broke')
      process.exit(worker?.draining ? 0 : ORPHANED)
    },
  })
  // Else node:cluster ends this process with code 0 as soon as the primary is gone.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
  worker = new ClusterWorker(peer, onError)
  // When that can't be asked any more, the link's end has been seen, and says the rest.
  process.on('SIGTERM', () => worker?.retire().catch(() => {}))
  return worker
}

/** A worker of a cluster. Made by {@link joinCluster}. */
export class ClusterWorker extends ClusterPeer {
  #draining = false

  constructor(peer: Peer, onError: (error: unknown, where: string) => void) {
    super(peer, onError)
    this.serve(workerControl, { drain: ({ graceMs }) => this.#drain(graceMs) })
  }

  /** Whether it has been told to finish. */
  get draining(): boolean {
    return this.#draining
  }

  /**
   * Tells the cluster that this worker takes work from now on. To be called when everything is served and subscribed.
   *
   * @throws DrainingError when it has been told to finish meanwhile
   */
  async ready(): Promise<void> {
    if (this.#draining)
      throw new DrainingError('This worker is draining and takes no work any more')
    await this.#ask(primaryControl.ready)
  }

  /** Asks to be let go: what is running finishes, the process ends, and another takes its place. SIGTERM does the same. */
  async retire(): Promise<void> {
    await this.#ask(primaryControl.retire)
  }

  async #ask(procedure: Named<Procedure>): Promise<void> {
    const route = new Route(this.peer, procedure, { to: 'primary' })
    await call({ route, input: undefined, options: {} })
  }

  async #drain(graceMs: number): Promise<void> {
    this.#draining = true
    // The call that brought this here is itself being served.
    const done = this.runDrainHooks().then(() => this.peer.quiet(1))
    await atMost(graceMs, done)
  }
}
