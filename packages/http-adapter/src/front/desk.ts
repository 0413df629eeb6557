// What all requests of a front share.

import type { Peer } from '@clusterwire/core/peer'
import { type Balancer, leastPending } from '../balancer.js'
import { type OnError, printError } from '../errors.js'
import { WaitingRoom } from '../waiting-room.js'
import type { Counters } from './forward.js'
import type { FrontOptions } from './options.js'
import type { Tunnel, TunnelDesk } from './tunnel.js'

/** Hands requests out, and counts them. */
export class Desk implements TunnelDesk {
  readonly peer: Peer
  readonly balancer: Balancer
  readonly room: WaitingRoom
  readonly retries: number
  readonly onError: OnError
  readonly counters: Counters = { requests: 0, retried: 0, refused: 0, abandoned: 0, cut: 0 }
  closing = false
  active = 0
  readonly tunnels: Set<Tunnel> = new Set()
  #onIdle: (() => void) | undefined

  constructor(peer: Peer, options: FrontOptions) {
    const { balance = leastPending(), queue, retry, onError = printError } = options
    this.peer = peer
    this.balancer = balance
    this.onError = onError
    this.room = new WaitingRoom(peer.clock, queue)
    this.retries = retry?.idempotent ?? 1
    peer.directory.onChange(() => this.room.advance())
  }

  entered(): void {
    this.active++
  }

  settled(): void {
    this.active--
    if (this.room.size > 0) this.room.advance()
    if (this.active === 0) this.#onIdle?.()
  }

  /** Lets `idle` resolve at once. */
  giveUp(): void {
    this.#onIdle?.()
  }

  /** Resolves when no request is left. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve
      if (this.active === 0) resolve()
    })
  }
}
