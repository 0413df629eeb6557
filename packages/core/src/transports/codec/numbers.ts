// Numbers and bigints, both ways: the fewer digits, the fewer bytes.

import type { ByteReader, ByteWriter } from '../bytes.js'
import { FIRST_NAMED, Tag } from './format.js'

export function writeNumber(out: ByteWriter, value: number): void {
  // −0 passes for an int32, but would arrive as 0.
  if ((value | 0) !== value || Object.is(value, -0)) {
    out.u8(Tag.float64)
    out.f64(value)
  } else if (value >= 0 && value <= 0x7f) {
    out.u8(value)
  } else if (value >= -16 && value < 0) {
    out.u8(FIRST_NAMED + value)
  } else if (value >= -0x8000 && value <= 0x7fff) {
    out.u8(Tag.int16)
    out.u16(value)
  } else {
    out.u8(Tag.int32)
    out.u32(value)
  }
}

export function writeBigInt(out: ByteWriter, value: bigint): void {
  if (BigInt.asIntN(64, value) === value) {
    out.u8(Tag.bigint64)
    out.i64(value)
  } else if (value > 0n) {
    out.u8(Tag.bigPositive)
    writeMagnitude(out, value)
  } else {
    out.u8(Tag.bigNegative)
    writeMagnitude(out, -value)
  }
}

/** Hexadecimal is the one text form whose cost grows only linearly with the digits. */
function writeMagnitude(out: ByteWriter, value: bigint): void {
  const digits = value.toString(16)
  const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  out.u32(magnitude.length)
  out.bytes(magnitude)
}

export function readMagnitude(reader: ByteReader): bigint {
  return BigInt(`0x0${reader.text('hex', reader.u32())}`)
}
