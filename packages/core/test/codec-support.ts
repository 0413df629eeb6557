// What the codec's tests share: the trip itself, and everything that may go on it.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect } from 'vitest'
import { InvalidValueError } from '../src/errors.js'
import { ByteWriter } from '../src/transports/bytes.js'
import { decodeValue, encodeValue } from '../src/transports/codec.js'

export function encode(value: unknown): Buffer {
  const out = new ByteWriter(16)
  encodeValue(out, value)
  return Buffer.from(out.buffer.subarray(0, out.position))
}

export function decode(bytes: Buffer): unknown {
  return decodeValue(bytes, 0, bytes.length)
}

export function roundTrip<T>(value: T): T {
  return decode(encode(value)) as T
}

export function refusalOf(value: unknown, name?: string): InvalidValueError {
  const out = new ByteWriter()
  try {
    encodeValue(out, value, name)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidValueError)
    expect(out.position).toBe(0)
    return error as InvalidValueError
  }
  throw new Error('it was accepted')
}

/** An object whose own key `__proto__`, or any other, is a property and nothing more. */
export function ownProperty(key: string, value: unknown): object {
  return Object.defineProperty({}, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  })
}

/** Everything that arrives as what it was. */
export const supported: fc.Arbitrary<unknown> = fc.anything({
  values: [
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.oneof(fc.integer(), fc.double()),
    fc.bigInt(),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary-ascii', maxLength: 40 }),
    // `deepStrictEqual` does not take one invalid Date for another.
    fc.date({ noInvalidDate: true }),
  ],
  withMap: true,
  withNullPrototype: true,
  withSet: true,
  withTypedArray: true,
  maxDepth: 4,
})

export function assertArrivesAs(sent: unknown, expected: unknown): void {
  const arrived = roundTrip(sent)
  if (expected instanceof Date) expect(arrived).toStrictEqual(expected)
  else assert.deepStrictEqual(arrived, expected)
}

/** `value` wrapped `depth` times. */
export function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = null
  for (let i = 0; i < depth; i++) value = wrap(value)
  return value
}
