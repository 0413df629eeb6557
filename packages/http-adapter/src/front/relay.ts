// A rendered response on its way to the client: whole, or piece by piece as fast as the client takes it.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { beginRendered, endRendered, setLast } from '../node-internals.js'
import { PacedWriter } from './paced.js'

/** Up to here a response goes out as one string, which Node writes without a buffer of its own. */
const STRING_BYTES = 16 * 1024

/** Bytes of a frame. */
export interface Range {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** How a response ends. */
export interface Ending {
  /** The connection is closed behind it. */
  readonly last: boolean
  /** The front is closing, which the head is to say. */
  readonly closing: boolean
}

/** Sends a response that is there in full. */
export function relayWhole(res: ServerResponse, { bytes, start, end }: Range, how: Ending): void {
  if (start < end && end - start <= STRING_BYTES) {
    const text = bytes.toString('latin1', start, end)
    return endRendered(res, how.closing ? announceClose(text) : text, how.last)
  }
  const stream = new RelayedStream(res, how.closing)
  stream.end({ bytes, start, end }, how.last)
}

/** A response that comes in pieces. */
export class RelayedStream {
  readonly #res: ServerResponse
  readonly #closing: boolean
  readonly #writer: PacedWriter
  #begun = false

  constructor(res: ServerResponse, closing: boolean) {
    this.#res = res
    this.#closing = closing
    this.#writer = new PacedWriter(res)
  }

  /** Passes on a data frame's bytes, those from `start` on. */
  take(exchange: OutgoingExchange, frame: Frame, start: number): void {
    const { bytes, end } = frame
    this.#writer.write(this.#copy({ bytes, start, end }), exchange, dataBytes(frame))
  }

  /** Passes on the last bytes. */
  end(range: Range, last: boolean): void {
    const bytes = this.#copy(range)
    setLast(this.#res, last)
    if (bytes.length > 0) this.#res.end(bytes)
    else this.#res.end()
  }

  /** The frame's bytes are the transport's: Node may keep what it is given for as long as the client is slow. */
  #copy({ bytes, start, end }: Range): Buffer {
    if (this.#begun) return Buffer.from(bytes.subarray(start, end))
    this.#begun = true
    const head = bytes.toString('latin1', start, end)
    beginRendered(this.#res, head)
    return Buffer.from(this.#closing ? announceClose(head) : head, 'latin1')
  }
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

const CONNECTION = /\r\n(?:connection|keep-alive):[^\r]*/gi

/** A rendered head that says that the connection is closed behind the response. What follows the head stays as it is. */
function announceClose(rendered: string): string {
  const end = rendered.indexOf('\r\n\r\n')
  if (end < 0) return rendered
  return `${rendered.slice(0, end).replace(CONNECTION, '')}\r\nConnection: close${rendered.slice(end)}`
}
