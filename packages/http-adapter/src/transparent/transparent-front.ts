// The primary's side of transparent mode: listens where the workers' apps listen, and gives each port's requests to the workers that do.

import type { AddressInfo } from 'node:net'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { ListenError } from '../errors.js'
import { HttpFront } from '../front/front.js'
import type { FrontOptions } from '../front/options.js'
import { assertInternals } from '../node-internals.js'
import {
  type Bound,
  type Endpoint,
  type Entry,
  keyOf,
  type ListenFailure,
  listening,
} from './contract.js'
import { PortWorkers } from './port-workers.js'

/** How a transparent front works. */
export interface TransparentOptions extends FrontOptions {
  /**
   * Milliseconds that a port stays open when no worker listens there any more; requests wait meanwhile. While no worker at all is ready, no
   * port is given up. Default 5 000
   */
  readonly releaseAfter?: number
  /** Told of each address, when clients can connect. Default: nothing */
  readonly onListening?: (address: AddressInfo) => void
  /** Told of each address that has been given up. Default: nothing */
  readonly onReleased?: (address: AddressInfo) => void
}

/** A port that workers' apps listen on. */
export interface TransparentPort {
  readonly address: AddressInfo
  readonly front: HttpFront
  /** The numbers of the workers that listen there. */
  readonly workers: readonly number[]
}

/**
 * Lets the apps in the workers listen: those that run with `--import @clusterwire/http-adapter/register`. To be called before the workers
 * are started, in `startPrimary({ setup })`.
 *
 * @throws InvalidContractError when the primary has one already, UnsupportedNodeError
 */
export function transparentFront(
  primary: ClusterPeer,
  options: TransparentOptions = {},
): TransparentFront {
  assertInternals()
  return new TransparentFront(primary, options)
}

/** All the ports. Made by {@link transparentFront}. */
export class TransparentFront {
  readonly #primary: ClusterPeer
  readonly #options: TransparentOptions
  readonly #ports = new Map<string, Port>()

  constructor(primary: ClusterPeer, options: TransparentOptions) {
    this.#primary = primary
    this.#options = options
    primary.serve(listening, {
      bind: (endpoint) => this.#bind(endpoint),
      enter: (entry, { from }) => this.#enter(entry, from.number),
      leave: (endpoint, { from }) => this.#leave(endpoint, from.number),
    })
    primary.peer.directory.onChange((gone) => {
      if (gone !== undefined) for (const key of this.#ports.keys()) this.#depart(key, gone.number)
    })
  }

  /** The ports that clients can connect to. */
  get ports(): TransparentPort[] {
    const open: TransparentPort[] = []
    for (const { address, front, workers } of this.#ports.values())
      if (address !== undefined) open.push({ address, front, workers: workers.numbers })
    return open
  }

  async #bind(endpoint: Endpoint): Promise<Bound> {
    const key = keyOf(endpoint)
    try {
      return { address: await (this.#ports.get(key) ?? this.#open(key, endpoint)).opening }
    } catch (error) {
      return { failure: failureOf(error) }
    }
  }

  #open(key: string, endpoint: Endpoint): Port {
    const port = new Port(this.#primary, endpoint, this.#options)
    this.#ports.set(key, port)
    port.opening.then(this.#options.onListening, () => this.#ports.delete(key))
    return port
  }

  async #enter(entry: Entry, worker: number): Promise<void> {
    const key = keyOf(entry)
    // It was given up since the worker was told its address.
    const port = this.#ports.get(key) ?? this.#open(key, entry)
    await port.opening
    if (this.#primary.peer.directory.get(worker) === undefined) return
    port.keep()
    port.workers.enter(worker, entry.upgrades)
  }

  async #leave(endpoint: Endpoint, worker: number): Promise<void> {
    const key = keyOf(endpoint)
    // Exactly as long as `enter` waits: the two are done in the order in which they came.
    await this.#ports.get(key)?.opening
    this.#depart(key, worker)
  }

  /** A worker does not listen there any more. Who dies between `bind` and `enter` has never done so. */
  #depart(key: string, worker: number): void {
    const port = this.#ports.get(key)
    if (port === undefined) return
    port.workers.leave(worker)
    if (port.workers.size === 0) this.#releaseLater(key, port)
  }

  #releaseLater(key: string, port: Port): void {
    const { directory, clock, closed } = this.#primary.peer
    if (closed) return
    port.keep()
    port.keep = clock.after(this.#options.releaseAfter ?? 5_000, () => {
      // They may be on their way back.
      if (directory.ready().length === 0) return this.#releaseLater(key, port)
      this.#ports.delete(key)
      void port.front.close()
      if (port.address !== undefined) this.#options.onReleased?.(port.address)
    })
  }
}

/** One port, with a front of its own: what waits for one port keeps nothing of another waiting. */
class Port {
  readonly front: HttpFront
  /** Settles when it is open, or can't be. */
  readonly opening: Promise<AddressInfo>
  address: AddressInfo | undefined
  readonly workers: PortWorkers
  /** Takes back that it is to be given up. */
  keep: () => void = () => {}

  constructor(primary: ClusterPeer, { port, address }: Endpoint, options: TransparentOptions) {
    this.workers = new PortWorkers(primary.peer.directory)
    this.front = new HttpFront(primary, options, this.workers)
    this.opening = this.front.listen(port, address ?? undefined)
    this.opening.then(
      (bound) => {
        this.address = bound
      },
      () => {},
    )
  }
}

/** What the app is to hear: Node's own error, as it would have got it from its own `listen`. */
function failureOf(error: unknown): ListenFailure {
  const cause = error instanceof ListenError ? error.cause : error
  const { message, code, errno, syscall, address, port } = cause as NodeJS.ErrnoException &
    ListenFailure
  return { message, code, errno, syscall, address, port }
}
