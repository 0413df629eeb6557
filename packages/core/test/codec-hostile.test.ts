// The codec against bytes that nobody sent: a value or a MalformedError, and no harm done.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MalformedError } from '../src/transports/bytes.js'
import { decodeValue } from '../src/transports/codec.js'
import {
  decode,
  encode,
  nested,
  ownProperty,
  refusalOf,
  roundTrip,
  supported,
} from './codec-support.js'

/** Any bytes either decode or are malformed; nothing else may happen. */
function decodesOrIsMalformed(bytes: Buffer): void {
  try {
    decode(bytes)
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
  }
}

describe('bytes that nobody sent', () => {
  it('random ones decode or are malformed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        decodesOrIsMalformed(Buffer.from(bytes)),
      ),
      { numRuns: 5000 },
    )
  })

  it('random tags decode or are malformed', () => {
    const byte = fc.oneof(fc.integer({ min: 0xb0, max: 0xc7 }), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), (bytes) =>
        decodesOrIsMalformed(Buffer.from(bytes)),
      ),
      { numRuns: 5000 },
    )
  })

  it('flipped bits decode or are malformed', () => {
    fc.assert(
      fc.property(supported, fc.nat(), (value, at) => {
        const bytes = encode(value)
        const bit = at % (bytes.length * 8)
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
        decodesOrIsMalformed(bytes)
      }),
      { numRuns: 5000 },
    )
  })

  it('a value that is cut short, or followed by more, is malformed', () => {
    fc.assert(
      fc.property(supported, fc.nat(), (value, at) => {
        const bytes = encode(value)
        const cut = Buffer.from(bytes.subarray(0, at % bytes.length))
        expect(() => decode(cut)).toThrow(MalformedError)
        expect(() => decode(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(MalformedError)
      }),
      { numRuns: 2000 },
    )
  })

  it('lengths beyond the end are refused before anything is allocated for them', () => {
    const before = process.memoryUsage().arrayBuffers
    for (let tag = 0; tag < 256; tag++) {
      for (const fill of [0xff, 0x7f]) {
        const bytes = Buffer.concat([Buffer.of(tag, 0), Buffer.alloc(8, fill)])
        decodesOrIsMalformed(bytes)
        decodesOrIsMalformed(bytes.fill(tag, 0, 2))
      }
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
  })

  it('only the range given is read', () => {
    const bytes = Buffer.concat([encode('before'), encode({ a: [1] }), encode('after')])
    const start = encode('before').length
    const end = start + encode({ a: [1] }).length
    expect(decodeValue(bytes, start, end)).toEqual({ a: [1] })
    expect(() => decodeValue(bytes, start, end - 1)).toThrow(MalformedError)
    expect(() => decodeValue(bytes, start, end + 1)).toThrow(MalformedError)
    expect(() => decodeValue(bytes, start, start)).toThrow(MalformedError)
  })

  it('tell where they stopped making sense', () => {
    const bytes = Buffer.concat([encode([1, 2]).subarray(0, 3), Buffer.of(0xee)])
    expect(() => decode(bytes)).toThrow(expect.objectContaining({ offset: 3 }))
  })

  it('that are not UTF-8 become U+FFFD', () => {
    const bytes = encode('é'.repeat(40))
    bytes[5] = 0xff
    expect(decode(bytes)).toContain('\ufffd')
  })
})

describe('depth', () => {
  const wraps = {
    arrays: (inner: unknown) => [inner],
    objects: (inner: unknown) => ({ inner }),
    maps: (inner: unknown) => new Map([[1, inner]]),
    sets: (inner: unknown) => new Set([inner]),
  }

  for (const [what, wrap] of Object.entries(wraps)) {
    it(`1000 ${what} in each other arrive, 1001 are refused`, () => {
      const deepest = encode(nested(1000, wrap))
      expect(encode(decode(deepest)).equals(deepest)).toBe(true)
      expect(refusalOf(nested(1001, wrap)).message).toContain('lies deeper than 1000 levels')
      expect(refusalOf(nested(100_000, wrap)).message.length).toBeLessThan(300)
    })
  }

  it('C7: bytes that nest 100 000 levels are malformed', () => {
    for (let tag = 0; tag < 256; tag++) {
      expect(() => decode(Buffer.alloc(100_000, tag))).toThrow(MalformedError)
    }
    const deep = encode(nested(1000, (inner) => [inner]))
    expect(() => decode(Buffer.concat([deep.subarray(0, 1), deep]))).toThrow('Deeper than 1000')
  })
})

describe('prototypes', () => {
  const risky = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'a')

  it('C6: no key changes the prototype of what is read, at any depth', () => {
    const tree = fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.integer(),
        fc.tuple(risky, tie('node')).map(([key, value]) => ownProperty(key, value)),
        fc.array(tie('node'), { maxLength: 3 }),
      ),
    })).node
    const before = Object.getOwnPropertyNames(Object.prototype)
    fc.assert(
      fc.property(tree, (value) => {
        const arrived = roundTrip(value)
        assert.deepStrictEqual(arrived, value)
        expect(plainPrototypes(arrived)).toBe(true)
      }),
      { numRuns: 2000 },
    )
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
  })

  it('are not reached through an error, a Map or an object without one', () => {
    const error = Object.defineProperties(new Error('x'), {
      ['__proto__']: { value: { admin: true }, enumerable: true },
    })
    const arrived = roundTrip(error)
    expect(Object.getPrototypeOf(arrived)).toBe(Error.prototype)
    expect(Object.getOwnPropertyDescriptor(arrived, '__proto__')?.value).toEqual({ admin: true })
    expect(roundTrip(new Map([['__proto__', 1]])).get('__proto__')).toBe(1)
    const bare = Object.assign(Object.create(null), ownProperty('__proto__', 5))
    expect(Object.keys(roundTrip(bare))).toEqual(['__proto__'])
  })

  it('with setters of their own are not asked', () => {
    Object.defineProperty(Object.prototype, 'trap', {
      configurable: true,
      set() {
        throw new Error('the setter ran')
      },
    })
    try {
      expect(Object.keys(roundTrip(ownProperty('trap', 1)))).toEqual(['trap'])
    } finally {
      Reflect.deleteProperty(Object.prototype, 'trap')
    }
  })

  function plainPrototypes(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return true
    const expected = Array.isArray(value) ? Array.prototype : Object.prototype
    return Object.getPrototypeOf(value) === expected && Object.values(value).every(plainPrototypes)
  }
})
