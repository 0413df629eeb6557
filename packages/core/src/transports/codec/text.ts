// Text, the most frequent of values, both ways. Short ASCII text never leaves JavaScript: the call
// into native code would cost more than the work.

import { type ByteReader, type ByteWriter, MalformedError } from '../bytes.js'
import { FIRST_NEGATIVE, FIRST_SHORT_TEXT, SHORT_TEXT_LENGTH, Tag } from './format.js'

export function writeText(out: ByteWriter, text: string): void {
  const start = out.position
  if (text.length <= SHORT_TEXT_LENGTH) {
    out.u8(FIRST_SHORT_TEXT + text.length)
    if (out.ascii(text)) return
    out.position = start
  }
  writeLongText(out, text)
}

/** How many bytes it takes, and so whether all is ASCII, is known only once it is written. */
function writeLongText(out: ByteWriter, text: string): void {
  const start = out.position
  out.u8(Tag.utf8)
  out.u32(0)
  const size = out.utf8(text)
  if (size === text.length) out.buffer[start] = Tag.ascii
  out.buffer.writeUInt32LE(size, start + 1)
}

/** Reads the text that `tag` begins. */
export function readText(reader: ByteReader, tag: number): string {
  if (isShortText(tag)) return readShortText(reader, tag)
  if (tag === Tag.ascii) return reader.text('latin1', reader.u32())
  if (tag === Tag.utf8) return reader.text('utf8', reader.u32())
  throw new MalformedError(`Tag ${tag} where text belongs`, reader.position - 1)
}

export function isShortText(tag: number): boolean {
  return tag >= FIRST_SHORT_TEXT && tag < FIRST_NEGATIVE
}

/** Reads the text whose length `tag` tells. */
export function readShortText(reader: ByteReader, tag: number): string {
  const length = tag - FIRST_SHORT_TEXT
  return shortTextAt(reader.buffer, reader.take(length), length)
}

/** The `length` ASCII characters at `start`. */
export function shortTextAt(buffer: Buffer, start: number, length: number): string {
  if (length <= 16) return charactersAt(buffer, start, length)
  return buffer.toString('latin1', start, start + length)
}

const characters = String.fromCharCode as (...codes: (number | undefined)[]) => string

/** Up to sixteen. Spelled out, each row is one allocation and no call into native code. */
function charactersAt(b: Buffer, i: number, length: number): string {
  // biome-ignore format: a row for each length
  switch (length) {
    case 1: return characters(b[i])
    case 2: return characters(b[i], b[i+1])
    case 3: return characters(b[i], b[i+1], b[i+2])
    case 4: return characters(b[i], b[i+1], b[i+2], b[i+3])
    case 5: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4])
    case 6: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5])
    case 7: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6])
    case 8: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7])
    case 9: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8])
    case 10: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9])
    case 11: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10])
    case 12: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10], b[i+11])
    case 13: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10], b[i+11], b[i+12])
    case 14: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13])
    case 15: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13], b[i+14])
    case 16: return characters(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7],
      b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13], b[i+14], b[i+15])
    default: return ''
  }
}
