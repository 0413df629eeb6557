// Bytes out and bytes in: a buffer that grows as needed, a reader that keeps to its range.
// All numbers are little-endian.

const INITIAL_BYTES = 4096
/** Writing stops here, long before memory runs out. */
const MAX_BYTES = 2 ** 30
/** Up to this many characters, text gets room for the worst case: measuring it would cost more. */
const UNMEASURED_TEXT = 16_384

/** Reads an unsigned 32-bit integer. By hand: Node's own `readUInt32LE` checks its arguments at every call, which shows in a profile. */
export function u32At(bytes: Uint8Array, at: number): number {
  const low =
    (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)
  return (low | ((bytes[at + 3] as number) << 24)) >>> 0
}

/** Writes an unsigned 32-bit integer over what stands there. */
export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >> 8
  bytes[at + 2] = value >> 16
  bytes[at + 3] = value >> 24
}

/** How far beyond `bound` room may be made: text gets room for its worst case, and mostly takes less. */
const SLACK_BYTES = 2 * UNMEASURED_TEXT

/** Appends to a buffer that doubles when it is full. */
export class ByteWriter {
  /** Replaced by a larger one when it is full: do not hold on to it while writing. */
  buffer: Buffer
  /** Where the next byte goes. Set it back to take back what was written since. */
  position = 0
  /** The buffer does not grow for what would clearly end behind this position. Default: none */
  bound: number = Number.POSITIVE_INFINITY
  /** What was thrown last for that: what encodes a value tells it from an error of the value's own. */
  refusal: unknown

  /** @param size bytes to begin with, default 4096 */
  constructor(size: number = INITIAL_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(size)
  }

  /**
   * Makes room for `count` more bytes. The methods below do so themselves.
   *
   * @throws what `tooLong` makes when that would be behind `bound`, RangeError when the buffer would exceed 1 GiB
   */
  ensure(count: number): void {
    if (this.position + count > this.buffer.length) this.#grow(count)
  }

  // Integers may be signed or not: their bytes are the same. They are taken apart by hand, in half
  // the time of Buffer's own methods, which would check once more what `ensure` has checked.

  u8(value: number): void {
    this.ensure(1)
    this.buffer[this.position++] = value
  }

  u16(value: number): void {
    this.ensure(2)
    const { buffer, position } = this
    buffer[position] = value
    buffer[position + 1] = value >> 8
    this.position = position + 2
  }

  u32(value: number): void {
    this.ensure(4)
    const { buffer, position } = this
    buffer[position] = value
    buffer[position + 1] = value >> 8
    buffer[position + 2] = value >> 16
    buffer[position + 3] = value >> 24
    this.position = position + 4
  }

  i64(value: bigint): void {
    this.ensure(8)
    this.position = this.buffer.writeBigInt64LE(value, this.position)
  }

  f64(value: number): void {
    this.ensure(8)
    this.position = this.buffer.writeDoubleLE(value, this.position)
  }

  /** Copies `source`, or its part from `start` up to `end`. */
  bytes(source: Uint8Array, start = 0, end: number = source.length): void {
    const whole = start === 0 && end === source.length
    this.ensure(end - start)
    this.buffer.set(whole ? source : source.subarray(start, end), this.position)
    this.position += end - start
  }

  /**
   * As `bytes`, where that is all that is written between `begin` and `commit` of a frame: large bytes may then take a way of their own, on which
   * they are not copied here.
   */
  whole(source: Uint8Array, start: number, end: number): void {
    this.bytes(source, start, end)
  }

  /** Writes `text` as UTF-8, lone surrogates as U+FFFD. Returns how many bytes that took. */
  utf8(text: string): number {
    this.ensure(text.length <= UNMEASURED_TEXT ? text.length * 3 : Buffer.byteLength(text))
    const size = this.buffer.write(text, this.position)
    this.position += size
    return size
  }

  /**
   * Writes `text` if all of it is ASCII, otherwise nothing. Returns whether it did.
   *
   * For short text: a call into native code costs as much as some 25 turns of this loop.
   */
  ascii(text: string): boolean {
    const { length } = text
    this.ensure(length)
    const { buffer, position } = this
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return false
      buffer[position + i] = code
    }
    this.position = position + length
    return true
  }

  /** The error for what would end at `end`, behind `bound`. */
  protected tooLong(end: number): Error {
    return new RangeError(`What is written would end at ${end}, behind ${this.bound}`)
  }

  #grow(count: number): void {
    const needed = this.position + count
    if (needed > this.bound + SLACK_BYTES) {
      this.refusal = this.tooLong(needed)
      throw this.refusal
    }
    if (needed > MAX_BYTES) throw new RangeError(`The buffer would exceed ${MAX_BYTES} bytes`)
    const size = Math.min(MAX_BYTES, Math.max(needed, this.buffer.length * 2))
    const grown = Buffer.allocUnsafeSlow(size)
    this.buffer.copy(grown, 0, 0, this.position)
    this.buffer = grown
  }
}

/** These bytes are nothing that a {@link ByteWriter}'s user would have written. */
export class MalformedError extends Error {
  /** Where in the buffer reading stopped. */
  readonly offset: number

  constructor(message: string, offset: number, options?: ErrorOptions) {
    super(`${message} (at byte ${offset})`, options)
    this.offset = offset
  }
}

const EMPTY = Buffer.alloc(0)

/**
 * Reads one range of a buffer from its start to its end.
 * Whatever would pass the end throws {@link MalformedError}, before anything is allocated for it.
 */
export class ByteReader {
  buffer: Buffer = EMPTY
  position = 0
  end = 0

  /** Turns to another range, which must lie within `buffer`. Without one, lets go of the buffer. */
  reset(buffer: Buffer = EMPTY, start = 0, end = 0): void {
    this.buffer = buffer
    this.position = start
    this.end = end
  }

  /** Steps over `count` bytes and returns where they begin. */
  take(count: number): number {
    const start = this.position
    const left = this.end - start
    if (count > left) throw new MalformedError(`${count} bytes expected, ${left} left`, start)
    this.position = start + count
    return start
  }

  u8(): number {
    return this.buffer[this.take(1)] as number
  }

  i16(): number {
    const at = this.take(2)
    return (this.#byte(at + 1, 24) >> 16) | this.#byte(at, 0)
  }

  u32(): number {
    return this.i32() >>> 0
  }

  i32(): number {
    const at = this.take(4)
    return (
      this.#byte(at, 0) | this.#byte(at + 1, 8) | this.#byte(at + 2, 16) | this.#byte(at + 3, 24)
    )
  }

  i64(): bigint {
    return this.buffer.readBigInt64LE(this.take(8))
  }

  f64(): number {
    return this.buffer.readDoubleLE(this.take(8))
  }

  /** A copy of the next `count` bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    const start = this.take(count)
    const copy = new Uint8Array(count)
    this.buffer.copy(copy, 0, start, start + count)
    return copy
  }

  /** The next `count` bytes as text in the given encoding. Invalid UTF-8 becomes U+FFFD. */
  text(encoding: 'utf8' | 'latin1' | 'hex', count: number): string {
    const start = this.take(count)
    return this.buffer.toString(encoding, start, start + count)
  }

  #byte(at: number, shift: number): number {
    return (this.buffer[at] as number) << shift
  }
}
