// Bytes to frames: the reader that finds them in any chunking, and says what is wrong with those that it can't find.

import { ClusterwireError, ProtocolError } from '../errors.js'
import { type Frame, FrameType, HEADER_BYTES, LENGTH_BYTES, MAX_FRAME_BYTES } from '../frames.js'
import { u32At } from './bytes.js'

const TWO_TO_32 = 2 ** 32

/** What a read takes in at once: more than a large piece of a stream with its header, which would take two reads otherwise. */
export const READ_BYTES: number = 128 * 1024

/** The room that a link is read into, over and over. A frame of more than half of it gets a buffer of its own. */
const ROOM_BYTES = 2 * READ_BYTES

/** A part of a buffer. */
interface Range {
  readonly from: number
  readonly to: number
}

/**
 * Finds frames in bytes, however they are cut. The bytes come as chunks (`push`), or are read to where this reader says (`room`, then
 * `took`): what is cut then goes on where it ended, and nothing is copied and nothing allocated for it.
 */
export class FrameReader {
  readonly #limit: number
  readonly #frame = new ReceivedFrame()
  /** Where bytes are read to; made when first asked for. */
  #room: Buffer | undefined
  /** The part of it that is asked for as long as nothing is left of what was read before. */
  #usual: Buffer | undefined
  /** What is left of that: the beginning of a frame. */
  #from = 0
  #to = 0
  /** The beginning of a frame whose rest has not come yet, where it has a buffer of its own. */
  #partial: Buffer | undefined
  /** How much of `#partial` is filled. */
  #filled = 0
  /** Where on the link `#partial` begins. */
  #partialAt = 0
  /** Bytes of the chunks before this one. */
  #passed = 0
  /** Where on the link the buffer begins that the frames just now delivered lie in. */
  #origin = 0

  constructor(limit: number = MAX_FRAME_BYTES) {
    this.#limit = limit
  }

  /**
   * Takes the next bytes and hands each frame that they complete to `deliver`. A frame that lies whole in the chunk is not copied.
   *
   * @throws ProtocolError on a length or a type that no frame has, before anything of it is buffered
   */
  push(chunk: Buffer, deliver: (frame: Frame) => void): void {
    const at = this.#partial === undefined ? 0 : this.#resume(chunk, deliver)
    this.#origin = this.#passed
    const rest = this.#deliverAll(chunk, { from: at, to: chunk.length }, deliver)
    if (rest < chunk.length) this.#keep(chunk, rest)
    this.#passed += chunk.length
  }

  /** Where the next bytes are to be read to. The same as the last time, as long as that is possible. */
  room(): Buffer {
    if (this.#partial !== undefined) return this.#partial.subarray(this.#filled)
    if (this.#room === undefined || this.#usual === undefined) {
      this.#room = Buffer.allocUnsafeSlow(ROOM_BYTES)
      this.#usual = this.#room.subarray(0, READ_BYTES)
    }
    const room = this.#room
    if (this.#to === 0) return this.#usual
    if (room.length - this.#to < READ_BYTES) {
      room.copyWithin(0, this.#from, this.#to)
      this.#to -= this.#from
      this.#from = 0
    }
    return room.subarray(this.#to, this.#to + READ_BYTES)
  }

  /**
   * Takes the bytes that have been read to `room()`, as `push` does.
   *
   * @throws ProtocolError as `push` does
   */
  took(count: number, deliver: (frame: Frame) => void): void {
    if (this.#partial !== undefined) {
      this.#filled += count
      this.#passed += count
      if (this.#filled === this.#partial.length) this.#deliverPartial(deliver)
      return
    }
    const room = this.#room as Buffer
    this.#origin = this.#passed - this.#to
    this.#passed += count
    this.#to += count
    this.#from = this.#deliverAll(room, { from: this.#from, to: this.#to }, deliver)
    const rest = this.#to - this.#from
    if (rest >= HEADER_BYTES && this.#frameSize(room, this.#from) > ROOM_BYTES / 2)
      this.#keep(room.subarray(0, this.#to), this.#from)
    else if (rest > 0) return
    this.#from = 0
    this.#to = 0
  }

  /**
   * What a link ends with when `push` threw this: bytes that no peer of ours sends are the other side's fault, and the error says where and
   * which they are.
   */
  blame(error: unknown): Error {
    if (error instanceof ProtocolError && error.offset !== undefined) return error // A header, which says so itself.
    if (error instanceof ClusterwireError && !(error instanceof ProtocolError)) return error // Not its bytes' fault.
    const { bytes, start, end } = this.#frame
    const { message } = asProtocolError(error)
    const first = firstBytes(bytes, start, end)
    const offset = this.#origin + start
    return new ProtocolError(`${message} (the frame at byte ${offset} of the link: ${first})`, {
      cause: error,
      offset,
      bytes: first,
    })
  }

  /** What the end of the bytes means here: `undefined` between frames, otherwise an error that says how much of the last one is missing. */
  truncation(): ProtocolError | undefined {
    if (this.#partial === undefined && this.#to > 0)
      this.#keep((this.#room as Buffer).subarray(0, this.#to), this.#from)
    if (this.#partial === undefined) return undefined
    const size =
      this.#filled < HEADER_BYTES
        ? `a header of ${HEADER_BYTES} bytes`
        : `a frame of ${this.#partial.length} bytes`
    return new ProtocolError(
      `The link ended in the middle of a frame: truncated after ${this.#filled} bytes of ${size}`,
    )
  }

  /** Delivers the frames that lie whole between two places of a buffer; returns where the last one ended. */
  #deliverAll(bytes: Buffer, { from, to }: Range, deliver: (frame: Frame) => void): number {
    let at = from
    while (to - at >= HEADER_BYTES) {
      const size = this.#frameSize(bytes, at)
      if (to - at < size) break
      this.#frame.set(bytes, at, at + size)
      at += size
      deliver(this.#frame)
    }
    return at
  }

  #deliverPartial(deliver: (frame: Frame) => void): void {
    const partial = this.#partial as Buffer
    this.#partial = undefined
    this.#origin = this.#partialAt
    this.#frame.set(partial, 0, partial.length)
    this.#frame.owned = partial.length >= OWN_BYTES
    deliver(this.#frame)
  }

  /** Continues the frame that was cut; returns where in the chunk it ended. */
  #resume(chunk: Buffer, deliver: (frame: Frame) => void): number {
    let at = 0
    this.#origin = this.#partialAt
    if (this.#filled < HEADER_BYTES) {
      at = this.#fill(chunk, 0, HEADER_BYTES)
      if (this.#filled < HEADER_BYTES) return at
      this.#grow(this.#frameSize(this.#partial as Buffer, 0))
    }
    const partial = this.#partial as Buffer
    at = this.#fill(chunk, at, partial.length)
    if (this.#filled === partial.length) this.#deliverPartial(deliver)
    return at
  }

  #fill(chunk: Buffer, at: number, upTo: number): number {
    const end = Math.min(chunk.length, at + upTo - this.#filled)
    this.#filled += chunk.copy(this.#partial as Buffer, this.#filled, at, end)
    return end
  }

  /** Gives the partial frame its full length, known from its header. */
  #grow(size: number): void {
    const whole = Buffer.allocUnsafe(size)
    ;(this.#partial as Buffer).copy(whole, 0, 0, this.#filled)
    this.#partial = whole
  }

  #keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at
    this.#partial = Buffer.allocUnsafe(
      rest < HEADER_BYTES ? HEADER_BYTES : this.#frameSize(chunk, at),
    )
    this.#filled = chunk.copy(this.#partial, 0, at)
    this.#partialAt = this.#origin + at
  }

  #frameSize(bytes: Buffer, at: number): number {
    const size = u32At(bytes, at) + LENGTH_BYTES
    if (
      size < HEADER_BYTES ||
      size > this.#limit ||
      !KNOWN_TYPES[bytes[at + LENGTH_BYTES] as number]
    )
      throw this.#noFrame(bytes, at, size)
    return size
  }

  #noFrame(bytes: Buffer, at: number, size: number): ProtocolError {
    const first = firstBytes(bytes, at)
    const offset = this.#origin + at
    return new ProtocolError(
      `No frame begins like this: ${first}, at byte ${offset} of the link (length ${size}, limit ${this.#limit}, type ${bytes[at + LENGTH_BYTES]})`,
      { offset, bytes: first },
    )
  }
}

/** As many as it takes to see what they are. */
function firstBytes(bytes: Buffer, start: number, end: number = bytes.length): string {
  return bytes.toString('hex', start, Math.min(start + 16, end))
}

/** The frames in bytes of our own. */
export function* framesIn(bytes: Buffer): Generator<Frame> {
  const frame = new ReceivedFrame()
  for (let at = 0; at < bytes.length; at = frame.end) {
    frame.set(bytes, at, at + u32At(bytes, at) + LENGTH_BYTES)
    yield frame
  }
}

const KNOWN_TYPES: readonly boolean[] = Array.from({ length: 256 }, (_, type) =>
  (Object.values(FrameType) as number[]).includes(type),
)

/** One mutable view, so that reading a frame allocates nothing. */
class ReceivedFrame implements Frame {
  type = 0
  flags = 0
  ref = 0
  to = 0
  from = 0
  id = 0
  arg = 0
  bytes: Buffer = EMPTY
  start = 0
  body = 0
  end = 0
  owned = false

  set(bytes: Buffer, start: number, end: number): void {
    this.type = bytes[start + 4] as number
    this.flags = bytes[start + 5] as number
    this.ref = (bytes[start + 6] as number) | ((bytes[start + 7] as number) << 8)
    this.to = u32At(bytes, start + 8)
    this.from = u32At(bytes, start + 12)
    this.id = u32At(bytes, start + 16) + u32At(bytes, start + 20) * TWO_TO_32
    this.arg = u32At(bytes, start + 24)
    this.bytes = bytes
    this.start = start
    this.body = start + HEADER_BYTES
    this.end = end
    this.owned = false
  }

  copy(target: Uint8Array, start: number): void {
    this.bytes.copy(target, 0, start, this.end)
  }

  keep(start: number): Buffer {
    const part = this.bytes.subarray(start, this.end)
    return this.owned ? part : Buffer.from(part)
  }
}

const EMPTY = Buffer.alloc(0)

/** Smaller buffers stand in a pool that Node has for all of them, which must not be given away. */
const OWN_BYTES = Buffer.poolSize >>> 1

/** What taking a frame threw, as one of our errors: bytes that no peer of ours sends are the other side's fault. */
export function asProtocolError(error: unknown): Error {
  if (error instanceof ClusterwireError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new ProtocolError(`A frame can't be read: ${why}`, { cause: error })
}
