// A response's bytes on their way to the front. Those of one turn leave together: a small response is one frame, its reply. More than
// that leaves piece by piece, as fast as the client takes it.

import { type ByteWriter, Flag, type IncomingExchange, PIECE_BYTES } from '@clusterwire/core/peer'
import { Piece } from '../wire.js'
import type { Chunk, Done } from './client-socket.js'

/** Longer strings are turned into bytes first, so that they can be cut. */
const LONG_STRING = 4096

/** Chunks, and the encoding of each one that is a string. */
interface Chunks {
  readonly chunks: readonly Chunk[]
  readonly encodings: readonly BufferEncoding[]
}

/** What waits to be sent. */
export class Outbox implements Chunks {
  chunks: Chunk[] = []
  encodings: BufferEncoding[] = []
  /** The byte before the last frame: `ResponseFlag`s. */
  flags = 0
  /** Bytes that wait. */
  size = 0
  readonly #exchange: IncomingExchange
  /** Called when nothing waits any more. */
  #whenGone: Done[] = []
  #scheduled = false

  constructor(exchange: IncomingExchange) {
    this.#exchange = exchange
  }

  /** Takes bytes; returns how many. */
  put(chunk: Chunk, encoding: BufferEncoding): number {
    const long = typeof chunk === 'string' && chunk.length > LONG_STRING
    const piece = long ? Buffer.from(chunk, encoding) : chunk
    const size = typeof piece === 'string' ? Buffer.byteLength(piece, encoding) : piece.length
    if (size === 0) return 0
    this.chunks.push(piece)
    this.encodings.push(encoding)
    this.size += size
    this.#schedule()
    return size
  }

  /** Calls `done` when what was put so far has gone out, not before the end of this turn. */
  whenGone(done: Done): void {
    this.#whenGone.push(done)
    this.#schedule()
  }

  /** Sends what waits, as far as the front takes it. */
  send(): void {
    while (this.chunks.length > 0 && this.#exchange.writable) this.#sendPiece()
  }

  /** Sends what waits, and calls those who wait for that. */
  flush(): void {
    this.send()
    if (this.chunks.length > 0 || this.#whenGone.length === 0) return
    const gone = this.#whenGone
    this.#whenGone = []
    for (const done of gone) done()
  }

  /** Sends an informational response, ahead of the real one. Nobody needs it: while the front takes no more, it is dropped. */
  interim(text: Chunk): void {
    if (this.#exchange.writable) this.#exchange.write(encodeInterim, text)
  }

  /** Ends the response with what waits, which is to be little. */
  reply(flags: number): void {
    this.flags = flags
    this.#exchange.reply(encodeReply, this)
    this.#clear()
  }

  /** Drops what waits, and tells those who wait for that. */
  fail(): void {
    this.#clear()
    const lost = this.#whenGone
    this.#whenGone = []
    for (const done of lost) process.nextTick(done, new Error('The connection is closed'))
  }

  /** The turn is over: what was put in it leaves. A small response is complete by then, and gone with its reply. */
  turn(): void {
    this.#scheduled = false
    this.flush()
  }

  #clear(): void {
    // New ones: to set an array's length is a call into V8's runtime.
    this.chunks = []
    this.encodings = []
    this.size = 0
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(endTurn, this)
  }

  #sendPiece(): void {
    if (this.size <= PIECE_BYTES) {
      this.#write(this)
      return this.#clear()
    }
    const { chunks, encodings } = this
    const first = chunks[0] as Chunk
    if (typeof first !== 'string' && first.length > PIECE_BYTES) {
      this.#exchange.writeBytes(first, 0, PIECE_BYTES)
      chunks[0] = first.subarray(PIECE_BYTES)
      this.size -= PIECE_BYTES
      return
    }
    let count = 0
    let size = 0
    for (let next = this.#sizeOf(0); size + next <= PIECE_BYTES; next = this.#sizeOf(++count))
      size += next
    this.#write({ chunks: chunks.splice(0, count), encodings: encodings.splice(0, count) })
    this.size -= size
  }

  #write(piece: Chunks): void {
    const [only] = piece.chunks
    if (piece.chunks.length > 1 || typeof only === 'string')
      this.#exchange.write(encodeChunks, piece, Flag.raw)
    else if (only !== undefined) this.#exchange.writeBytes(only)
  }

  #sizeOf(index: number): number {
    return Buffer.byteLength(this.chunks[index] as Chunk, this.encodings[index])
  }
}

function endTurn(outbox: Outbox): void {
  outbox.turn()
}

function encodeReply(out: ByteWriter, outbox: Outbox): void {
  out.u8(outbox.flags)
  encodeChunks(out, outbox)
}

function encodeInterim(out: ByteWriter, text: Chunk): void {
  out.u8(Piece.interim)
  encodeChunk(out, text, 'latin1')
}

function encodeChunks(out: ByteWriter, { chunks, encodings }: Chunks): void {
  for (let i = 0; i < chunks.length; i++)
    encodeChunk(out, chunks[i] as Chunk, encodings[i] as BufferEncoding)
}

function encodeChunk(out: ByteWriter, chunk: Chunk, encoding: BufferEncoding): void {
  if (typeof chunk !== 'string') return out.bytes(chunk)
  // Three bytes is the most that a character takes, in any encoding.
  out.ensure(chunk.length * 3)
  out.position += out.buffer.write(chunk, out.position, encoding)
}
