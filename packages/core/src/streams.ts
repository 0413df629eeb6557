// Flow control by credit, for one direction of one exchange: how much its sender may still send, and what its receiver gives back.
//
// Each direction starts with a window of WINDOW_BYTES. Data uses it up; the receiver gives it back as its user consumes. So a slow
// reader stops its own writer and nobody else, and what a stream can pile up is bounded (as in HTTP/2, RFC 9113 section 5.2).

import { ProtocolError } from './errors.js'

/** How many bytes of data frames a sender may send before the receiver has consumed any. */
export const WINDOW_BYTES: number = 512 * 1024

/** So much is consumed before credit is given back: two pieces, so that a sender goes on long before its window is empty. */
const PORTION_BYTES = WINDOW_BYTES / 4

/** How large a piece raw bytes are cut into: small enough that other exchanges' data gets its turn. */
export const PIECE_BYTES: number = 64 * 1024

/** A sender's side. A frame may overdraw the window: only one that begins while credit is left. */
export class SendWindow {
  #credit = WINDOW_BYTES

  get open(): boolean {
    return this.#credit > 0
  }

  spend(bytes: number): void {
    this.#credit -= bytes
  }

  /** @throws ProtocolError when more comes back than was spent: it would let the sender pile up what nobody reads */
  grant(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > WINDOW_BYTES)
      throw new ProtocolError(`${bytes} bytes of credit came back, more than had been spent`)
  }
}

/** A receiver's side. */
export class ReceiveWindow {
  /** What came in since credit was last given back, and what of it has been consumed. */
  #received = 0
  #consumed = 0

  /** Takes a data frame's bytes. Whether the sender was allowed to send it. */
  receive(bytes: number): boolean {
    const allowed = this.#received < WINDOW_BYTES
    this.#received += bytes
    return allowed
  }

  /** Notes what the user has consumed. The credit to give back now: nothing until a portion has come together. */
  consume(bytes: number): number {
    this.#consumed += bytes
    if (this.#consumed < PORTION_BYTES) return 0
    const credit = this.#consumed
    this.#consumed = 0
    this.#received -= credit
    return credit
  }
}
