// A whole cluster inside one process, without forking: for tests of code that uses Clusterwire, and for its own.

import { nanoid } from 'nanoid/non-secure'
import { Clients } from '../client.js'
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
import { Line } from './faults.js'

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
  /** Whether the error of a failed call shows the line that made the call. It costs some microseconds with every call. Default `true` */
  readonly callSites?: boolean
  /** Gets what subscribers throw when no publisher waits. Default: collects it in `mesh.errors` */
  readonly onError?: (error: unknown, where: string) => void
}

/**
 * A worker of a mesh. Its link is as a socketpair's: 213 KiB are under way at most, and what does not fit waits at its sender, where it
 * counts towards the limits that lead to `OVERLOADED`. What can happen to it:
 *
 * | fault | what it is like | what it does |
 * |---|---|---|
 * | `kill()` | `kill -9` | what it had handed over arrives, then the end of its link |
 * | `freeze()`, `thaw()` | SIGSTOP and SIGCONT, a blocked event loop | it reads and writes nothing; it goes on where it was |
 * | `delay(ms)` | a process that is slow to look | everything takes so long in each direction, and keeps its order |
 * | `cut()` | a link that breaks | both sides see its end; what was under way is lost |
 *
 * Its code, which shares this process, runs on through all of them: only what it sends and gets is held or lost.
 */
export class MeshPeer extends ClusterPeer {
  readonly #link: Link
  readonly #line: Line | undefined

  constructor(peer: Peer, { link, line, onError }: MeshPeerParts) {
    super(peer, onError)
    this.#link = link
    this.#line = line
  }

  /** Takes work from now on. */
  async ready(): Promise<void> {
    // Without a client of its own, which would change how its handlers run.
    await new Clients(this.peer).create(primaryControl, { to: 'primary' }).ready()
  }

  /**
   * Dies. What it had handed over before still arrives, and then the end of its link, even if it was frozen: its calls end as those of a
   * killed process do, with `WORKER_LOST`. What it had not handed over, and what it had not read, is lost.
   */
  kill(): void {
    this.#line?.kill()
    this.#link.destroy(new Error('it was killed'))
  }

  /**
   * Stands still, as a stopped process or a blocked event loop does: it reads nothing and hands nothing over. What is sent to it is
   * taken until the room between the two is full; the rest waits at its sender.
   */
  freeze(): void {
    this.#ownLine.freeze()
  }

  /** Goes on: what has come meanwhile is there, and what it has made meanwhile leaves. */
  thaw(): void {
    this.#ownLine.thaw()
  }

  /** From now on everything takes so many milliseconds of the mesh's clock, in each direction. */
  delay(ms: number): void {
    this.#ownLine.delay = ms
  }

  /**
   * The link breaks. What was under way in either direction is lost, and both sides see the end: the primary and the others lose this
   * worker, and its own peer is closed (a real worker ends its process then).
   */
  cut(): void {
    this.#ownLine.cut(new Error('the link was cut'))
  }

  get #ownLine(): Line {
    if (this.#line !== undefined) return this.#line
    throw new InvalidOptionError(
      'freeze, thaw, delay and cut are for links in memory, not for createLinks',
    )
  }
}

interface MeshPeerParts {
  readonly link: Link
  /** What can go wrong on its link; undefined for a link that the mesh did not make. */
  readonly line: Line | undefined
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
          callSites: this.#callSites,
          scopes: createScopes(),
          channels: createChannels(),
          linkTo,
          announce,
        }),
      { onError: (error, where) => this.#onError(error, where) },
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
    const line = createLinks === undefined ? new Line(this.#clock) : undefined
    const [near, far] = (await createLinks?.()) ?? connected(line)
    this.#router.attach(number, near)
    const peer = await joinOver({
      link: far,
      hello: { id: nanoid(), pid: 0 },
      clock: this.#clock,
      callSites: this.#callSites,
      scopes: createScopes(),
      channels: createChannels(),
      onLost: () => {},
    })
    const worker = new MeshPeer(peer, { link: far, line, onError: this.#onError })
    this.workers.push(worker)
    return worker
  }

  /** Ends all peers: their calls fail with `PEER_CLOSED` or `WORKER_LOST`. */
  async close(): Promise<void> {
    for (const worker of this.workers) worker.kill()
    this.primary.peer.close('the mesh was closed')
  }

  get #callSites(): boolean {
    return this.#options.callSites ?? true
  }

  get #clock(): Clock {
    return this.#options.clock ?? systemClock
  }

  readonly #onError = (error: unknown, where: string): void => {
    if (this.#options.onError) this.#options.onError(error, where)
    else this.errors.push(error)
  }
}

function connected(line: Line | undefined): readonly [Link, Link] {
  const ends = createLinkPair({ wires: line?.wires })
  line?.connect(ends)
  return ends
}

/**
 * Creates a cluster inside this process: a primary and workers that are connected as real ones are, except that their links are memory.
 */
export async function createMemoryMesh(options: MeshOptions = {}): Promise<MemoryMesh> {
  const mesh = new MemoryMesh(options)
  for (let count = options.workers ?? 2; count > 0; count--) await mesh.addWorker()
  return mesh
}
