// Frames to bytes: the outgoing buffer that frames are written into.

import { FrameTooLargeError } from '../errors.js'
import {
  Flag,
  type Frame,
  type FrameHead,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_FRAME_BYTES,
} from '../frames.js'
import { ByteWriter, putU32, u32At } from './bytes.js'
import { framesIn } from './frame-reader.js'

const TWO_TO_32 = 2 ** 32

/** Where a frame's flags stand, and its `arg`. */
export const FLAGS_AT = 5
export const ARG_AT = 24

/** What stands in the place of a body that lies elsewhere: how large it is. */
export const SIZE_BYTES = 4

/** From this on bytes are laid aside, where that can be done: to write and to read them there costs a system call each. */
export const WORTH_IT_BYTES: number = 16 * 1024

/** Where the bodies of large frames may lie instead of behind their heads. */
export interface Aside {
  /** Takes a part of `bytes`. Where it lies then; -1 when there is no room. */
  put(bytes: Uint8Array, start: number, end: number): number
  /** Whether streams are to wait until there is more room. */
  readonly crowded: boolean
}

/** A buffer with less room than a large piece of a stream takes is full: the next frame begins in another one. */
const FULL_BYTES = 192 * 1024

/** What a buffer has that takes the place of a full one. */
const SEGMENT_BYTES = 256 * 1024

/** A buffer that has grown beyond this is given back as soon as nothing waits in it. */
const KEPT_BYTES = 1024 * 1024

/** How many empty buffers are kept for the next frames: one leaves while the other is written into. */
const SPARE_BUFFERS = 2

/** A full buffer, and where in it the frames stand that wait. */
interface Segment {
  readonly buffer: Buffer
  readonly end: number
  first: number
}

/**
 * The frames that wait to leave on one link, back to back. Nothing is moved when some of them have left: a buffer that is full is put
 * behind others, and written into again when all in it has left. (Buffers made anew for every portion cost a third of a stream's
 * processor time, most of it in the garbage collector.)
 */
export class FrameBuffer extends ByteWriter {
  readonly #limit: number
  /** Full buffers, the oldest first; none unless frames are made faster than they leave. */
  readonly #full: Segment[] = []
  /** Bytes that wait in those. */
  #fullSize = 0
  /** Where in the buffer that is written into the first frame that waits begins: those before it have been handed over. */
  #first = 0
  /** Where the frame begun stands; -1 between frames. */
  #start = -1
  /** Where the frames lie that have been handed over, and may still be looked at. */
  #leaving: Buffer | undefined
  /** Bytes that have been handed over, and those of them that are not looked at any more. */
  #handedOver = 0
  #out = 0
  readonly #spare: Buffer[] = []
  readonly #aside: Aside | undefined
  #laidAside = 0

  /**
   * @param limit bytes of the largest frame. Default 16 MiB
   * @param aside where the bodies of its large data frames may lie. Default: nowhere else
   */
  constructor(limit: number = MAX_FRAME_BYTES, aside?: Aside) {
    super()
    this.#limit = limit
    this.#aside = aside
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#fullSize + this.position - this.#first
  }

  /** Bytes that have left, ever. */
  get out(): number {
    return this.#out
  }

  /** What `out` will be when all that waits has left. */
  get end(): number {
    return this.#handedOver + this.size
  }

  /** Bytes that the other side is to hear of with the next write: those of frames, and those that they have laid aside since the last one. */
  get weight(): number {
    return this.size + this.#laidAside
  }

  /** @throws while a frame is begun */
  assertBetweenFrames(): void {
    if (this.#start >= 0)
      throw new Error(
        'A getter of a value that is being sent sends something itself; that would mix two frames',
      )
  }

  /** What is written from here on throws FrameTooLargeError as soon as it can't be a frame any more. */
  begin(head: FrameHead): ByteWriter {
    this.assertBetweenFrames()
    if (this.position > FULL_BYTES) this.#renew()
    this.bound = this.position + this.#limit
    this.ensure(HEADER_BYTES)
    this.#start = this.position
    this.u32(0)
    this.u8(head.type)
    this.u8(head.flags)
    this.u16(head.ref)
    this.u32(head.to)
    this.u32(head.from)
    this.u32(head.id >>> 0)
    this.u32(head.id < TWO_TO_32 ? 0 : Math.floor(head.id / TWO_TO_32))
    this.u32(head.arg)
    return this
  }

  commit(): void {
    const size = this.position - this.#start
    if (size > this.#limit) {
      const error = tooLarge(size, this.#limit)
      this.abandon()
      throw error
    }
    putU32(this.buffer, this.#start, size - LENGTH_BYTES)
    this.#start = -1
  }

  abandon(): void {
    this.position = this.#start
    this.#start = -1
    this.#reuse()
  }

  override whole(source: Uint8Array, start: number, end: number): void {
    const size = end - start
    const isWorthIt = size >= WORTH_IT_BYTES && size <= this.#limit - HEADER_BYTES
    const at = isWorthIt ? (this.#aside?.put(source, start, end) ?? -1) : -1
    if (at < 0) return this.bytes(source, start, end)
    // What the frame says instead: where, and how much.
    const { buffer } = this
    putU32(buffer, this.#start + ARG_AT, at)
    buffer[this.#start + FLAGS_AT] = (buffer[this.#start + FLAGS_AT] as number) | Flag.beside
    this.u32(size)
    this.#laidAside += size
  }

  /** Appends a whole frame as it stands. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.position > FULL_BYTES) this.#renew()
    this.bound = Number.POSITIVE_INFINITY
    this.bytes(bytes, start, end)
  }

  /** Bytes of the first frame that waits; 0 when none does. */
  get firstSize(): number {
    if (this.size === 0) return 0
    const [oldest] = this.#full
    const at = oldest?.first ?? this.#first
    return u32At(oldest?.buffer ?? this.buffer, at) + LENGTH_BYTES
  }

  /**
   * Hands over the next frames that wait: as many as lie together and have `bytes` together, or the first if it alone has more. A view
   * that stays good until `release`, which is to be called before this is called again.
   */
  next(bytes: number = Number.POSITIVE_INFINITY): Buffer {
    this.#laidAside = 0
    const oldest = this.#full[0]
    if (oldest === undefined) {
      const from = this.#first
      this.#leaving = this.buffer
      this.#first = portion(this.buffer, { from, end: this.position, bytes })
      this.#handedOver += this.#first - from
      return this.buffer.subarray(from, this.#first)
    }
    const { buffer, first: from, end } = oldest
    this.#leaving = buffer
    oldest.first = portion(buffer, { from, end, bytes })
    this.#fullSize -= oldest.first - from
    this.#handedOver += oldest.first - from
    if (oldest.first === end) this.#full.shift()
    return buffer.subarray(from, oldest.first)
  }

  /** What `next` has handed over is not looked at any more: its room can be used again. */
  release(): void {
    const left = this.#leaving
    this.#leaving = undefined
    this.#out = this.#handedOver
    if (left === undefined || left === this.buffer) this.#reuse()
    else if (left !== this.#full[0]?.buffer) this.#keep(left)
  }

  /** Nothing waits any more. */
  drop(): void {
    this.#laidAside = 0
    this.#full.length = 0
    this.#fullSize = 0
    this.#first = this.position
    this.#reuse()
  }

  /** The frames that wait, one by one. */
  *frames(): Generator<Frame> {
    for (const { buffer, first, end } of this.#full) yield* framesIn(buffer.subarray(first, end))
    yield* framesIn(this.buffer.subarray(this.#first, this.position))
  }

  protected override tooLong(end: number): FrameTooLargeError {
    return tooLarge(end - this.#start, this.#limit, 'at least ')
  }

  /** Puts the buffer that is full behind the others, and goes on in another one. */
  #renew(): void {
    const { buffer, position: end } = this
    const first = this.#first
    if (first < end) {
      this.#full.push({ buffer, first, end })
      this.#fullSize += end - first
    }
    this.buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SEGMENT_BYTES)
    this.position = 0
    this.#first = 0
  }

  /** Begins at the front again, when nothing waits. */
  #reuse(): void {
    if (this.#first < this.position || this.#leaving === this.buffer) return
    this.position = 0
    this.#first = 0
    // A single giant, sent or refused, must not leave a giant buffer behind for good.
    if (this.buffer.length > KEPT_BYTES)
      this.buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SEGMENT_BYTES)
  }

  #keep(buffer: Buffer): void {
    if (buffer.length <= KEPT_BYTES && this.#spare.length < SPARE_BUFFERS) this.#spare.push(buffer)
  }
}

/** Where the frames end that begin at `from` and have `bytes` together, or the first if it alone has more. */
function portion(
  buffer: Buffer,
  { from, end, bytes }: { from: number; end: number; bytes: number },
): number {
  if (end - from <= bytes) return end
  let at = from
  do at += u32At(buffer, at) + LENGTH_BYTES
  while (at < end && at + u32At(buffer, at) + LENGTH_BYTES - from <= bytes)
  return at
}

function tooLarge(size: number, limit: number, about = ''): FrameTooLargeError {
  return new FrameTooLargeError(
    `The message has ${about}${size} bytes; a frame may have ${limit}. Send it as a stream, or raise maxFrameBytes on both sides`,
    { size, limit },
  )
}
