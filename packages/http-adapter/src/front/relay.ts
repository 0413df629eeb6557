// A rendered response on its way to the client: whole, or piece by piece as fast as the client takes it.

import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { beginRendered, endRendered, setLast } from '../node-internals.js'
import { type Amendment, amend } from './head.js'
import { PacedWriter } from './paced.js'

/** Up to here a response goes out as one string, which Node writes without a buffer of its own. */
const STRING_BYTES = 16 * 1024

/** Bytes of a frame. */
export interface Range {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** How a whole response is sent. */
export interface Whole {
  readonly amendment: Amendment
  /** The connection is closed behind it. */
  readonly last: boolean
}

/** Sends a response that is there in full. */
export function relayWhole(res: ServerResponse, text: string, { amendment, last }: Whole): void {
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
  readonly #writer: PacedWriter
  /** The first piece; `undefined` when it has been passed on. */
  #first: Buffer | undefined

  /** @param first the first piece, which begins with the head */
  constructor(res: ServerResponse, first: string, amendment: Amendment) {
    this.#res = res
    this.#writer = new PacedWriter(res, goesToTheSystem(res))
    beginRendered(res, first)
    this.#first = Buffer.from(amend(first, amendment), 'latin1')
  }

  /** Passes on a data frame's bytes, those from `start` on. */
  take(exchange: OutgoingExchange, frame: Frame, start: number): void {
    const first = this.#first
    if (first === undefined) return this.#writer.pass(exchange, frame, start)
    this.#first = undefined
    this.#writer.write(first, exchange, dataBytes(frame))
  }

  /** Passes on the last bytes. */
  end(rest: Range, last: boolean): void {
    setLast(this.#res, last)
    if (rest.start < rest.end) this.#res.end(copyOf(rest))
    else this.#res.end()
  }
}

/**
 * Whether what a response writes goes to the system, or to TLS, which copies it. Any other stream, or whoever has put himself in the place of
 * `write`, may keep what he is given.
 */
function goesToTheSystem(res: ServerResponse): boolean {
  return res.req.socket instanceof Socket && res.write === ServerResponse.prototype.write
}

/** A frame's bytes are the transport's: Node may keep what it is given for as long as the client is slow. */
export function copyOf({ bytes, start, end }: Range): Buffer {
  return Buffer.from(bytes.subarray(start, end))
}

/** The text of the bytes in which a head is rendered. */
export function textOf({ bytes, start, end }: Range): string {
  return bytes.toString('latin1', start, end)
}

/** Ends a response in the middle, so that nobody can take it for complete: even one whose end is that of its connection. */
export function cutResponse(res: ServerResponse): void {
  const { socket } = res
  // One that is not on the connection yet, behind another one, must not take that with it.
  if (socket === null) res.destroy()
  else resetSocket(socket)
}

/** Ends a connection so that nobody can take what came by it for all there is. */
export function resetSocket(socket: Socket): void {
  // TLS has no reset of its own: what is missing is its farewell, and that says the same.
  if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}
