// The connections that this worker's app has had upgraded, and how they are brought to an end.

import type { Server } from 'node:http'
import type { ExchangeHandler, Peer } from '@clusterwire/core/peer'
import { decodeHead } from '../wire.js'
import { Tunnel, type TunnelHost } from './tunnel.js'

/** The connections. */
export class Tunnels implements TunnelHost {
  readonly server: Server
  readonly peer: Peer
  readonly open: Set<Tunnel> = new Set()
  readonly #grace: number
  #draining = false

  constructor(server: Server, peer: Peer, grace: number) {
    this.server = server
    this.peer = peer
    this.#grace = grace
  }

  /** Takes over a connection. */
  readonly take: ExchangeHandler = (exchange, { bytes }) => {
    const tunnel = new Tunnel(this, exchange, decodeHead(bytes, exchange.inputAt))
    // It was on its way when this worker was told to finish.
    if (this.#draining) tunnel.goodbyeIn(this.grace())
    tunnel.run()
  }

  grace(): number {
    return (this.#grace * (1 + Math.random())) / 2
  }

  /** This worker is to finish: all of them come to an end. */
  drain(): void {
    this.#draining = true
    for (const tunnel of this.open) tunnel.goodbyeIn(this.grace())
  }
}
