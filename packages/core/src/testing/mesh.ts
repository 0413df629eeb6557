// A whole cluster inside one process, without forking: for tests of code that uses Clusterwire, and for its own.

import { nanoid } from 'nanoid'
import { systemClock } from '../cluster/clock.js'
import { primaryControl } from '../cluster/control.js'
import { createScopes } from '../cluster/process.js'
import { Router } from '../cluster/router.js'
import { joinOver } from '../cluster/uplink.js'
import { ClusterPeer } from '../cluster-peer.js'
import { Peer } from '../peer.js'
import type { Clock, Link } from '../transport.js'
import { createLinkPair } from '../transports/memory.js'

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

  constructor(peer: Peer, parts: { link: Link; onError: (error: unknown, where: string) => void }) {
    super(peer, parts.onError)
    this.#link = parts.link
  }

  /** Takes work from now on. */
  async ready(): Promise<void> {
    await this.client(primaryControl, { to: 'primary' }).ready()
  }

  /** Dies: nothing more comes from it, and its calls end as those of a killed process do. */
  kill(): void {
    this.#link.destroy(new Error('it was killed'))
  }
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
          scopes: createScopes(),
          linkTo,
          announce,
        }),
    )
    this.primary = new ClusterPeer(this.#router.peer, this.#onError)
    this.primary.serve(primaryControl, {
      ready: (_input, { from }) => this.#router.setState(from.number, 'ready'),
    })
  }

  /** Adds a worker. It takes work when it has been told to, by `ready()`. */
  async addWorker(): Promise<MeshPeer> {
    const number = ++this.#lastNumber
    const [near, far] = await (this.#options.createLinks ?? createLinkPair)()
    this.#router.attach(number, near)
    const peer = await joinOver({
      link: far,
      hello: { id: nanoid(), pid: 0 },
      clock: this.#clock,
      scopes: createScopes(),
      onLost: () => {},
    })
    const worker = new MeshPeer(peer, { link: far, onError: this.#onError })
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
