// Follows what an app writes to an upgraded connection, to know where a frame of its own may be put between two of the app's: only there
// can a WebSocket be told goodbye by someone other than the library that it belongs to. Looks at the frames' heads, and at nothing else.

import type { Chunk } from './client-socket.js'

/** `1001 Going Away`, as a server sends it (RFC 6455, section 5.5.1). */
export const GOING_AWAY: Buffer = Buffer.from([0x88, 0x02, 0x03, 0xe9])

const CLOSE = 8
const END_OF_HEAD = '\r\n\r\n'
/** More than that is no handshake. */
const MAX_HEAD = 64 * 1024
const NOTHING = Buffer.alloc(0)

/** One connection's frames, from the response to the handshake on. */
export class WebSocketFrames {
  /** The handshake's response, while it is not complete; then a frame's head, while it is not. */
  #begun: Buffer = NOTHING
  /** Bytes that are left of the frame's payload. */
  #left = 0
  #state: 'handshake' | 'frames' | 'closed' | 'other' = 'handshake'

  /** Whether a frame may follow here, and has not been told to be the last. */
  get between(): boolean {
    return this.#state === 'frames' && this.#left === 0 && this.#begun.length === 0
  }

  /** The app has written this. */
  take(chunk: Chunk, encoding: BufferEncoding): void {
    const size = typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
    if (this.#state === 'frames' && size <= this.#left) this.#left -= size
    else if (this.#state === 'frames' || this.#state === 'handshake')
      this.#read(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : asBuffer(chunk))
  }

  #read(chunk: Buffer): void {
    let bytes = this.#begun.length === 0 ? chunk : Buffer.concat([this.#begun, chunk])
    this.#begun = NOTHING
    if (this.#state === 'handshake') bytes = this.#handshake(bytes)
    while (this.#state === 'frames' && bytes.length > 0) bytes = this.#frame(bytes)
  }

  /** Reads the head of the response to the handshake; returns what is behind it. */
  #handshake(bytes: Buffer): Buffer {
    const end = bytes.indexOf(END_OF_HEAD)
    if (end >= 0) {
      // What is refused stays HTTP.
      this.#state = bytes.toString('latin1', 9, 12) === '101' ? 'frames' : 'other'
      return bytes.subarray(end + END_OF_HEAD.length)
    }
    if (bytes.length > MAX_HEAD) this.#state = 'other'
    else this.#begun = Buffer.from(bytes)
    return NOTHING
  }

  /** Reads a frame's head, and as much of its payload as is there; returns what is behind it. */
  #frame(bytes: Buffer): Buffer {
    if (this.#left > 0) return this.#skip(bytes)
    const short = (bytes[1] ?? 0) & 0x7f
    const isMasked = ((bytes[1] ?? 0) & 0x80) !== 0
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
    const head = 2 + lengthBytes + (isMasked ? 4 : 0)
    if (bytes.length < head) {
      this.#begun = Buffer.from(bytes)
      return NOTHING
    }
    if (((bytes[0] as number) & 0x0f) === CLOSE) this.#state = 'closed'
    if (lengthBytes === 0) this.#left = short
    else if (lengthBytes === 2) this.#left = bytes.readUInt16BE(2)
    else this.#left = Number(bytes.readBigUInt64BE(2))
    return this.#skip(bytes.subarray(head))
  }

  #skip(bytes: Buffer): Buffer {
    const size = Math.min(this.#left, bytes.length)
    this.#left -= size
    return bytes.subarray(size)
  }
}

function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}
