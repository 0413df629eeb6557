// Frames to bytes and back: the outgoing buffer that frames are written into, and the reader that finds them in any chunking.

import { ClusterwireError, FrameTooLargeError, ProtocolError } from '../errors.js'
import {
  type Frame,
  type FrameHead,
  FrameType,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_FRAME_BYTES,
} from '../frames.js'
import { ByteWriter, putU32, u32At } from './bytes.js'

const TWO_TO_32 = 2 ** 32

/** Where a frame's flags stand. */
export const FLAGS_AT = 5

/** What a buffer begins with: a tick's worth of small frames. */
const INITIAL_BYTES = 64 * 1024

/** A buffer that has grown beyond this is given back as soon as nothing waits in it. */
const KEPT_BYTES = 1024 * 1024

/** The frames that wait to leave on one link, back to back in one buffer. */
export class FrameBuffer {
  readonly writer: ByteWriter = new ByteWriter(undefined, (end) => this.#tooLarge(end))
  readonly #limit: number
  /** Where the first frame that waits begins: those before it have been handed over. */
  #first = 0
  /** Where the frame begun stands; -1 between frames. */
  #start = -1

  constructor(limit: number = MAX_FRAME_BYTES) {
    this.#limit = limit
  }

  /** Bytes that wait. */
  get size(): number {
    return this.writer.position - this.#first
  }

  /** What is written from here on throws FrameTooLargeError as soon as it can't be a frame any more. */
  begin(head: FrameHead): ByteWriter {
    const out = this.writer
    if (this.#start >= 0)
      throw new Error(
        'A getter of a value that is being sent sends something itself; that would mix two frames',
      )
    out.bound = out.position + this.#limit
    out.ensure(HEADER_BYTES)
    this.#start = out.position
    out.u32(0)
    out.u8(head.type)
    out.u8(head.flags)
    out.u16(head.ref)
    out.u32(head.to)
    out.u32(head.from)
    out.u32(head.id >>> 0)
    out.u32(head.id < TWO_TO_32 ? 0 : Math.floor(head.id / TWO_TO_32))
    out.u32(head.arg)
    return out
  }

  commit(): void {
    const size = this.writer.position - this.#start
    if (size > this.#limit) {
      const error = tooLarge(size, this.#limit)
      this.abandon()
      throw error
    }
    putU32(this.writer.buffer, this.#start, size - LENGTH_BYTES)
    this.#start = -1
  }

  abandon(): void {
    this.writer.position = this.#start
    this.#start = -1
    if (this.size === 0) this.#giveBack()
  }

  /** Appends a whole frame as it stands. */
  append(bytes: Buffer, start: number, end: number): void {
    this.writer.bound = Number.POSITIVE_INFINITY
    this.writer.bytes(bytes, start, end)
  }

  /** All that waits, as a view that is good until the next frame is written. */
  take(): Buffer {
    const bytes = this.writer.buffer.subarray(this.#first, this.writer.position)
    this.#first = 0
    this.writer.position = 0
    this.#giveBack()
    return bytes
  }

  /** Bytes of the first frame that waits; 0 when none does. */
  get firstSize(): number {
    return this.size === 0 ? 0 : u32At(this.writer.buffer, this.#first) + LENGTH_BYTES
  }

  /** As many whole frames as have `bytes` together, or the first if it alone has more: a view that stays good until `compact`. */
  takeSome(bytes: number): Buffer {
    const { buffer, position } = this.writer
    const from = this.#first
    let end = from
    while (end < position) {
      const next = end + u32At(buffer, end) + LENGTH_BYTES
      if (next - from > bytes && end > from) break
      end = next
    }
    this.#first = end
    return buffer.subarray(from, end)
  }

  /** Reclaims the room of what was handed over, once that is at least half. */
  compact(): void {
    const { buffer, position } = this.writer
    if (this.#first < position / 2) return
    buffer.copyWithin(0, this.#first, position)
    this.writer.position = position - this.#first
    this.#first = 0
  }

  /** Lets go of the buffer, whose views stay good: frames go into a new one from now on. Nothing may wait. */
  renew(): void {
    this.writer.buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES)
    this.writer.position = 0
    this.#first = 0
  }

  /** The frames that wait, one by one. */
  frames(): Generator<Frame> {
    return framesIn(this.writer.buffer.subarray(this.#first, this.writer.position))
  }

  /** A single giant, sent or refused, must not leave a giant buffer behind for good. */
  #giveBack(): void {
    if (this.writer.buffer.length > KEPT_BYTES) this.renew()
  }

  #tooLarge(end: number): FrameTooLargeError {
    return tooLarge(end - this.#start, this.#limit, 'at least ')
  }
}

function tooLarge(size: number, limit: number, about = ''): FrameTooLargeError {
  return new FrameTooLargeError(
    `The message has ${about}${size} bytes; a frame may have ${limit}. Send it as a stream, or raise maxFrameBytes on both sides`,
    { size, limit },
  )
}

/** Finds frames in chunks of bytes, however they are cut. */
export class FrameReader {
  readonly #limit: number
  readonly #frame = new ReceivedFrame()
  /** The beginning of a frame whose rest has not come yet; `undefined` between frames. */
  #partial: Buffer | undefined
  /** How much of `#partial` is filled. */
  #filled = 0

  constructor(limit: number = MAX_FRAME_BYTES) {
    this.#limit = limit
  }

  /**
   * Takes the next bytes and hands each frame that they complete to `deliver`. A frame that lies whole in the chunk is not copied.
   *
   * @throws ProtocolError on a length or a type that no frame has, before anything of it is buffered
   */
  push(chunk: Buffer, deliver: (frame: Frame) => void): void {
    let at = 0
    if (this.#partial !== undefined) at = this.#resume(chunk, deliver)
    while (chunk.length - at >= HEADER_BYTES) {
      const size = this.#frameSize(chunk, at)
      if (chunk.length - at < size) break
      this.#frame.set(chunk, at, at + size)
      at += size
      deliver(this.#frame)
    }
    if (at < chunk.length) this.#keep(chunk, at)
  }

  /** What the end of the bytes means here: `undefined` between frames, otherwise an error that says how much of the last one is missing. */
  truncation(): ProtocolError | undefined {
    if (this.#partial === undefined) return undefined
    const size =
      this.#filled < HEADER_BYTES
        ? `a header of ${HEADER_BYTES} bytes`
        : `a frame of ${this.#partial.length} bytes`
    return new ProtocolError(
      `The link ended in the middle of a frame: truncated after ${this.#filled} bytes of ${size}`,
    )
  }

  /** Continues the frame that was cut; returns where in the chunk it ended. */
  #resume(chunk: Buffer, deliver: (frame: Frame) => void): number {
    let at = 0
    if (this.#filled < HEADER_BYTES) {
      at = this.#fill(chunk, 0, HEADER_BYTES)
      if (this.#filled < HEADER_BYTES) return at
      this.#grow(this.#frameSize(this.#partial as Buffer, 0))
    }
    const partial = this.#partial as Buffer
    at = this.#fill(chunk, at, partial.length)
    if (this.#filled < partial.length) return at
    this.#partial = undefined
    this.#frame.set(partial, 0, partial.length)
    deliver(this.#frame)
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
  }

  #frameSize(bytes: Buffer, at: number): number {
    const size = u32At(bytes, at) + LENGTH_BYTES
    if (
      size < HEADER_BYTES ||
      size > this.#limit ||
      !KNOWN_TYPES[bytes[at + LENGTH_BYTES] as number]
    )
      throw new ProtocolError(
        `No frame begins like this: ${bytes.toString('hex', at, at + 16)} (length ${size}, limit ${this.#limit}, type ${bytes[at + LENGTH_BYTES]})`,
      )
    return size
  }
}

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
  }
}

const EMPTY = Buffer.alloc(0)

/** What a link ends with when taking a frame threw this: bytes that no peer of ours sends are the other side's fault. */
export function asProtocolError(error: unknown): Error {
  if (error instanceof ClusterwireError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new ProtocolError(`A frame can't be read: ${why}`, { cause: error })
}
