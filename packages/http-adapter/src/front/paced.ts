// What a worker sends, on its way to a client: as fast as the client takes it.

import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { borrow, LENT_BYTES } from './lent-buffer.js'

/** What takes bytes: a response, or a socket. */
export interface Outlet {
  /** Returns `false` when there is no room for more before `drain`. */
  write(bytes: Buffer, written?: () => void): boolean
  on(event: 'drain', listener: () => void): unknown
}

/** Less than this is copied into Node's own pool, as small buffers are. */
const WORTH_LENDING = 4096

/** Writes, and gives the worker credit for what there was room for. */
export class PacedWriter {
  readonly #out: Outlet
  readonly #lends: boolean
  #exchange: OutgoingExchange | undefined
  /** What the client has not made room for; the worker is not given credit for it meanwhile. */
  #owed = 0

  /** @param lends whether it is done with a buffer when it says that it has written it. Default: nobody knows */
  constructor(out: Outlet, lends = false) {
    this.#out = out
    this.#lends = lends
  }

  /** Passes on the bytes of a frame, from `start` on. */
  pass(exchange: OutgoingExchange, frame: Frame, start: number): void {
    const size = frame.end - start
    if (!this.#lends || size < WORTH_LENDING || size > LENT_BYTES || frame.owned)
      return this.write(frame.keep(start), exchange, dataBytes(frame))
    const { buffer, giveBack } = borrow()
    frame.copy(buffer, start)
    if (this.#out.write(buffer.subarray(0, size), giveBack)) exchange.consumed(dataBytes(frame))
    else this.owe(exchange, dataBytes(frame))
  }

  /** @param cost what the bytes took of the exchange's window */
  write(bytes: Buffer, exchange: OutgoingExchange, cost: number): void {
    if (this.#out.write(bytes)) exchange.consumed(cost)
    else this.owe(exchange, cost)
  }

  /** There is no room, whoever has written: the worker gets this credit when there is. */
  owe(exchange: OutgoingExchange, cost: number): void {
    if (this.#exchange === undefined) {
      this.#exchange = exchange
      this.#out.on('drain', () => this.#drain())
    }
    this.#owed += cost
  }

  #drain(): void {
    const owed = this.#owed
    this.#owed = 0
    this.#exchange?.consumed(owed)
  }
}
