// A rendered response on its way to the client: whole, or piece by piece as fast as the client takes it.

import type { ServerResponse } from 'node:http'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { beginRendered, endRendered, setLast } from '../node-internals.js'
import { type Amendment, amend } from './head.js'

/** Up to here a response goes out as one string, which Node writes without a buffer of its own. */
const STRING_BYTES = 16 * 1024

/** Bytes of a frame. */
export interface Range {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** Sends a response that is there in full. `last`: the connection is closed behind it. */
export function relayWhole(
  res: ServerResponse,
  text: string,
  { amendment, last }: { readonly amendment: Amendment; readonly last: boolean },
): void {
  if (text !== '' && text.length <= STRING_BYTES)
    return endRendered(res, amend(text, amendment), last)
  beginRendered(res, text)
  setLast(res, last)
  if (text === '') res.end()
  else res.end(Buffer.from(amend(text, amendment), 'latin1'))
}

/** A response that comes in pieces. */
export class RelayedStream {
  readonly #res: ServerResponse
  /** The first piece; `undefined` when it has been passed on. */
  #first: Buffer | undefined
  #exchange: OutgoingExchange | undefined
  /** What the client has not made room for; the worker is not given credit for it meanwhile. */
  #owed = 0

  /** @param first the first piece, which begins with the head */
  constructor(res: ServerResponse, first: string, amendment: Amendment) {
    this.#res = res
    beginRendered(res, first)
    this.#first = Buffer.from(amend(first, amendment), 'latin1')
  }

  /** Passes on a data frame's bytes, those from `start` on. */
  take(exchange: OutgoingExchange, frame: Frame, start: number): void {
    const { bytes, end } = frame
    // The frame's bytes are the transport's: Node may keep what it is given for as long as the client is slow.
    const piece = this.#first ?? Buffer.from(bytes.subarray(start, end))
    this.#first = undefined
    if (this.#res.write(piece)) {
      exchange.consumed(dataBytes(frame))
      return
    }
    if (this.#exchange === undefined) {
      this.#exchange = exchange
      this.#res.on('drain', () => this.#drain())
    }
    this.#owed += dataBytes(frame)
  }

  /** Passes on the last bytes. */
  end({ bytes, start, end }: Range, last: boolean): void {
    setLast(this.#res, last)
    if (start < end) this.#res.end(Buffer.from(bytes.subarray(start, end)))
    else this.#res.end()
  }

  #drain(): void {
    const owed = this.#owed
    this.#owed = 0
    this.#exchange?.consumed(owed)
  }
}

/** Ends a response in the middle, so that nobody can take it for complete: even one whose end is that of its connection. */
export function cutResponse(res: ServerResponse): void {
  const { socket } = res
  // One that is not on the connection yet, behind another one, must not take that with it.
  if (socket === null) res.destroy()
  else if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}
