// Frames to bytes: the outgoing buffer that frames are written into.

import { FrameTooLargeError } from '../errors.js'
import {
  type Frame,
  type FrameHead,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_FRAME_BYTES,
} from '../frames.js'
import { ByteWriter, putU32, u32At } from './bytes.js'
import { framesIn } from './frame-reader.js'

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
