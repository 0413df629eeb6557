// The codec: what becomes of a value on its way to another process.

import assert from 'node:assert/strict'
import vm from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  assertArrivesAs,
  decode,
  encode,
  ownProperty,
  roundTrip,
  supported,
} from './codec-support.js'
import { survivals } from './codec-survival.js'

describe('what survives', () => {
  for (const { what, note, same = [], changed = [] } of survivals) {
    it(note ? `${what}: ${note}` : what, () => {
      for (const value of same) assertArrivesAs(value, value)
      for (const [sent, arrived] of changed) assertArrivesAs(sent, arrived)
    })
  }

  it('anything made of these', () => {
    fc.assert(
      fc.property(supported, (value) => assertArrivesAs(value, value)),
      { numRuns: 2000 },
    )
  })

  it('strings of any content and length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        expect(roundTrip({ [text]: text })).toStrictEqual(ownProperty(text, text))
      }),
      { numRuns: 2000 },
    )
  })

  it('values of another realm', () => {
    const foreign = vm.runInNewContext(`({
      list: [1, { a: 1 }], map: new Map([[1, new Date(5)]]), bytes: Uint8Array.of(1, 2),
      error: Object.assign(new TypeError('there'), { code: 'E' }),
    })`)
    const { error, ...rest } = roundTrip(foreign)
    assert.deepStrictEqual(rest, {
      list: [1, { a: 1 }],
      map: new Map([[1, new Date(5)]]),
      bytes: Uint8Array.of(1, 2),
    })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ message: 'there', code: 'E' })
  })

  it('binary as a copy, which later writes to the received buffer do not reach', () => {
    const bytes = encode({ raw: Buffer.from('abc'), whole: new Uint8Array([7]).buffer })
    const { raw, whole } = decode(bytes) as { raw: Uint8Array; whole: ArrayBuffer }
    bytes.fill(0)
    expect(Object.getPrototypeOf(raw)).toBe(Uint8Array.prototype)
    expect(raw.buffer.byteLength).toBe(3)
    expect([...raw]).toEqual([97, 98, 99])
    expect([...new Uint8Array(whole)]).toEqual([7])
  })

  it('more names than the key cache has room for, also after it was filled with others', () => {
    const named = (prefix: string) =>
      Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`${prefix}${i}`, i]))
    for (const prefix of ['a', 'b', 'a', 'user_id_', 'a']) {
      expect(roundTrip(named(prefix))).toStrictEqual(named(prefix))
    }
  })
})

describe('errors as values', () => {
  it('keep class, name, message, stack, cause and code', () => {
    const sent = new RangeError('outer', { cause: new SyntaxError('inner') })
    const arrived = roundTrip(Object.assign(sent, { code: 'E_OUTER' }))
    expect(arrived).toBeInstanceOf(RangeError)
    expect(arrived.stack).toBe(sent.stack)
    expect(arrived.cause).toBeInstanceOf(SyntaxError)
    expect(arrived).toMatchObject({ name: 'RangeError', message: 'outer', code: 'E_OUTER' })
    expect(Object.keys(arrived)).toEqual(['code'])
  })

  it('leave those that are made here their stacks', () => {
    roundTrip(new Error('sent'))
    expect(new Error('made here').stack).toContain('codec.test')
  })

  it('keep the name of a class that only the sender has', () => {
    class PriceError extends Error {
      override get name(): string {
        return 'PriceError'
      }
      get code(): string {
        return 'E_PRICE'
      }
    }
    const arrived = roundTrip(new PriceError('too high'))
    expect(Object.getPrototypeOf(arrived)).toBe(Error.prototype)
    expect(arrived).toMatchObject({ name: 'PriceError', message: 'too high', code: 'E_PRICE' })
    expect(String(arrived)).toBe('PriceError: too high')
  })

  it('include what AbortSignal gives as a reason', () => {
    const arrived = roundTrip(AbortSignal.abort().reason)
    expect(arrived).toBeInstanceOf(Error)
    expect(arrived).toMatchObject({ name: 'AbortError', message: 'This operation was aborted' })
  })

  it('go without the properties that cannot be read or sent', () => {
    const hostile = Object.assign(new Error('kept'), { retry: () => {}, status: 503 })
    for (const key of ['stack', 'code', 'name', 'getter']) {
      Object.defineProperty(hostile, key, {
        enumerable: true,
        get() {
          throw new Error(`${key} is hostile`)
        },
      })
    }
    const arrived = roundTrip({ before: 1, hostile, after: 2 })
    expect(arrived).toMatchObject({ before: 1, after: 2 })
    expect(arrived.hostile).toMatchObject({ name: 'Error', message: 'kept', status: 503 })
    expect(Object.keys(arrived.hostile)).toEqual(['status'])
  })

  it('go without what leads back to them', () => {
    const error = new Error('outer')
    error.cause = new Error('inner', { cause: error })
    Object.assign(error, { request: { error } })
    const arrived = roundTrip(error)
    expect(arrived.cause).toMatchObject({ message: 'inner' })
    expect(arrived.cause).not.toHaveProperty('cause')
    expect(arrived).not.toHaveProperty('request')
  })

  it('are errors even as a Proxy, or with everything trapped', () => {
    const trapped = new Proxy(new Error('trapped'), {
      get() {
        throw new Error('no')
      },
      has() {
        throw new Error('no')
      },
      ownKeys() {
        throw new Error('no')
      },
    })
    expect(roundTrip(trapped)).toBeInstanceOf(Error)
  })
})
