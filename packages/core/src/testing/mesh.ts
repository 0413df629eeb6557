// A whole cluster inside one process, without forking: for tests of code that uses Clusterwire, and for its own.

import { nanoid } from 'nanoid'
import { systemClock } from '../cluster/clock.js'
import { primaryControl } from '../cluster/control.js'
import { createChannels, createScopes } from '../cluster/process.js'
import { Router } from '../cluster/router.js'
import { joinOver } from '../cluster/uplink.js'
import { ClusterPeer } from '../cluster-peer.js'
import { InvalidOptionError } from '../errors.js'
import { Peer } from '../peer.js'
import type { Clock, Link } from '../transport.js'
import { createLinkPair } from '../transports/memory.js'
import { Way } from './faults.js'

/** How a mesh is made. */
export interface MeshOptions {
  /** How many workers there are beside the primary. Default 2 */
  readonly workers?: number
  /** Time, as the peers see it. Default: real time */
  readonly clock?: Clock
  /** Makes the two ends of the link between the primary and a worker. Default: memory */
  readonly createLinks?: () =>
    | readonly [primary: Link, worker: Link]
    | Promise<readonly [Link, Link]>
  /** Gets what subscribers throw when no publisher waits. Default: collects it in `mesh.errors` */
  readonly onError?: (error: unknown, where: string) => void
}

/** A worker of a mesh. */
export class MeshPeer extends ClusterPeer {
  readonly #link: Link
  readonly #way: Way | undefined

  constructor(peer: Peer, { link, way, onError }: MeshPeerParts) {
    super(peer, onError)
    this.#link = link
    this.#way = way
  }

  /** Takes work from now on. */
  async ready(): Promise<void> {
    await this.client(primaryControl, { to: 'primary' }).ready()
  }

  /** Dies: nothing more comes from it, and its calls end as those of a killed process do. */
  kill(): void {
    this.#way?.cut()
    this.#link.destroy(new Error('it was killed'))
  }

  /** Stands still, as a stopped process or a blocked event loop does: nothing comes in or goes out. */
  freeze(): void {
    this.#ownWay.freeze()
  }

  /** Goes on: what has come meanwhile is there. */
  thaw(): void {
    this.#ownWay.thaw()
  }

  /** From now on everything takes so many milliseconds of the mesh's clock, in each direction. */
  delay(ms: number): void {
    this.#ownWay.delay = ms
  }

  get #ownWay(): Way {
    if (this.#way !== undefined) return this.#way
    throw new InvalidOptionError(
      'freeze, thaw and delay are for links in memory, not for createLinks',
    )
  }
}

interface MeshPeerParts {
  readonly link: Link
  /** What the link's frames pass; undefined for a link that the mesh did not make. */
  readonly way: Way | undefined
  readonly onError: (error: unknown, where: string) => void
}

/** Connected peers inside one process. Made by {@link createMemoryMesh}. */
export class MemoryMesh {
  readonly primary: ClusterPeer
  readonly workers: MeshPeer[] = []
  /** What subscribers threw while no publisher waited. */
  readonly errors: unknown[] = []
  readonly #options: MeshOptions
  readonly #router: Router
  #lastNumber = 0

  constructor(options: MeshOptions) {
    this.#options = options
    this.#router = new Router(
      (linkTo, announce) =>
        new Peer({
          id: nanoid(),
          number: 0,
          clock: this.#clock,
          callSites: true,
          scopes: createScopes(),
          channels: createChannels(),
          linkTo,
          announce,
        }),
    )
    this.primary = new ClusterPeer(this.#router.peer, this.#onError)
    this.primary.serve(primaryControl, {
      ready: (_input, { from }) => this.#router.setState(from.number, 'ready'),
      retire: (_input, { from }) => this.#router.setState(from.number, 'draining'),
      failing: (_input, { from }) => this.#router.setState(from.number, 'draining'),
    })
  }

  /** Adds a worker. It takes work when it has been told to, by `ready()`. */
  async addWorker(): Promise<MeshPeer> {
    const number = ++this.#lastNumber
    const { createLinks } = this.#options
    const way = createLinks === undefined ? new Way(this.#clock) : undefined
    const [near, far] = (await createLinks?.()) ?? createLinkPair(way?.schedule)
    this.#router.attach(number, near)
    const peer = await joinOver({
      link: far,
      hello: { id: nanoid(), pid: 0 },
      clock: this.#clock,
      callSites: true,
      scopes: createScopes(),
      channels: createChannels(),
      onLost: () => {},
    })
    const worker = new MeshPeer(peer, { link: far, way, onError: this.#onError })
    this.workers.push(worker)
    return worker
  }

  /** Ends all peers: their calls fail with `PEER_CLOSED` or `WORKER_LOST`. */
  async close(): Promise<void> {
    for (const worker of this.workers) worker.kill()
    this.primary.peer.close('the mesh was closed')
  }

  get #clock(): Clock {
    return this.#options.clock ?? systemClock
  }

  readonly #onError = (error: unknown, where: string): void => {
    if (this.#options.onError) this.#options.onError(error, where)
    else this.errors.push(error)
  }
}

/**
 * Creates a cluster inside this process: a primary and workers that are connected as real ones are, except that their links are memory.
 */
export async function createMemoryMesh(options: MeshOptions = {}): Promise<MemoryMesh> {
  const mesh = new MemoryMesh(options)
  for (let count = options.workers ?? 2; count > 0; count--) await mesh.addWorker()
  return mesh
}
