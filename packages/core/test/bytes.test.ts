// The writer that frames and values share, and the reader: what is held stays, what is read is there.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvalidValueError } from '../src/errors.js'
import { ByteReader, ByteWriter, MalformedError } from '../src/transports/bytes.js'
import { decodeValue, encodeValue } from '../src/transports/codec.js'
import { roundTrip, supported } from './codec-support.js'

describe('the writer', () => {
  it('keeps what it holds already, whatever is appended and however it grows', () => {
    fc.assert(
      fc.property(
        fc.array(supported, { maxLength: 5 }),
        fc.integer({ min: 1, max: 64 }),
        (values, size) => {
          const out = new ByteWriter(size)
          const ends = values.map((value) => {
            encodeValue(out, value)
            return out.position
          })
          const arrived = ends.map((end, i) => decodeValue(out.buffer, ends[i - 1] ?? 0, end))
          assert.deepStrictEqual(arrived, values)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('takes back what a refused value had written', () => {
    const out = new ByteWriter(4)
    encodeValue(out, 'first')
    const { position } = out
    expect(() => encodeValue(out, { big: 'x'.repeat(10_000), bad: () => {} })).toThrow(
      InvalidValueError,
    )
    expect(out.position).toBe(position)
    encodeValue(out, 'second')
    expect(decodeValue(out.buffer, 0, position)).toBe('first')
    expect(decodeValue(out.buffer, position, out.position)).toBe('second')
  })

  it('can be set back and written over', () => {
    const out = new ByteWriter()
    encodeValue(out, { a: 'taken back' })
    out.position = 0
    encodeValue(out, 7)
    expect(decodeValue(out.buffer, 0, out.position)).toBe(7)
  })

  it('grows to hold a large value', () => {
    const large = { text: 'ü'.repeat(1_000_000), bytes: new Uint8Array(3_000_000).fill(9) }
    assert.deepStrictEqual(roundTrip(large), large)
  })

  it('refuses to grow beyond 1 GiB', () => {
    const out = new ByteWriter()
    expect(() => out.ensure(2 ** 30 + 1)).toThrow(RangeError)
    expect(out.buffer.length).toBe(4096)
  })

  it('writes parts of other buffers', () => {
    const out = new ByteWriter(1)
    out.bytes(Buffer.from('abcdef'), 1, 3)
    out.bytes(Buffer.from('z'))
    expect(out.buffer.toString('utf8', 0, out.position)).toBe('bcz')
  })
})

describe('the reader', () => {
  it('reads the numbers that the writer writes, in little endian', () => {
    const out = new ByteWriter(1)
    out.u8(0xfe)
    out.u16(0x0102)
    out.u16(-2)
    out.u32(0xfffefdfc)
    out.u32(-3)
    out.i64(-4n)
    out.f64(-0.5)
    expect(out.buffer.toString('hex', 0, 9)).toBe('fe0201fefffcfdfeff')
    const reader = new ByteReader()
    reader.reset(out.buffer, 0, out.position)
    expect([reader.u8(), reader.i16(), reader.i16()]).toEqual([0xfe, 0x0102, -2])
    expect([reader.u32(), reader.i32(), reader.i64()]).toEqual([0xfffefdfc, -3, -4n])
    expect(reader.f64()).toBe(-0.5)
    expect(reader.position).toBe(reader.end)
  })

  it('moves nowhere when it cannot read', () => {
    const reader = new ByteReader()
    reader.reset(Buffer.of(1, 2, 3, 4), 1, 3)
    for (const read of [() => reader.u32(), () => reader.bytes(3), () => reader.text('utf8', 3)]) {
      expect(read).toThrow(MalformedError)
      expect(reader.position).toBe(1)
    }
    expect(reader.i16()).toBe(0x0302)
    expect(() => reader.u8()).toThrow(expect.objectContaining({ offset: 3 }))
  })
})
