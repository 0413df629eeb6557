// The codec against values that cannot be sent, and against those that lie about what they are.

import { describe, expect, it } from 'vitest'
import { nested, refusalOf, roundTrip } from './codec-support.js'
import { refusals } from './codec-survival.js'

describe('what is refused', () => {
  for (const { what, value, message } of refusals) {
    it(what, () => {
      expect(refusalOf(value)).toMatchObject({ code: 'INVALID_VALUE', message })
    })
  }

  it.each([
    [{ items: [1, 2, 3, { callback() {} }] }, 'input.items[3].callback is a function'],
    [{ 'odd key': { 'a"b': Symbol() } }, 'input["odd key"]["a\\"b"] is a symbol'],
    [new Map([['k', { f() {} }]]), 'input.values()[0].f is a function'],
    [new Map([[() => {}, 1]]), 'input.keys()[0] is a function'],
    [[new Set([1, Promise.resolve()])], 'input[0].values()[1] is a Promise'],
    [{ late: new Date(), error: [Object(Symbol())] }, 'input.error[0] is a symbol'],
  ])('naming the path: %#', (value, message) => {
    expect(refusalOf(value, 'input').message).toBe(`${message}, which cannot be sent`)
  })

  it('what throws while it is read, with what it threw as the cause', () => {
    const cause = new Error('hostile')
    const thrower = () => {
      throw cause
    }
    const getter = { deep: [Object.defineProperty({}, 'x', { enumerable: true, get: thrower })] }
    expect(refusalOf(getter)).toMatchObject({
      message: 'value.deep[0].x could not be encoded',
      cause,
    })
    for (const trap of ['ownKeys', 'getPrototypeOf', 'get', 'getOwnPropertyDescriptor']) {
      expect(refusalOf({ p: new Proxy({ a: 1 }, { [trap]: thrower }) })).toMatchObject({ cause })
    }
    expect(refusalOf(new Proxy([1], { get: thrower }))).toMatchObject({ cause })
  })

  it('a revoked Proxy, and a Proxy that is thrown', () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(refusalOf({ proxy }).message).toBe('value.proxy could not be encoded')
    const thrower = {
      get x() {
        throw proxy
      },
    }
    expect(refusalOf(thrower).cause).toBe(proxy)
  })

  it('cycles, naming the shortest path', () => {
    const parent = { child: { list: [1] as unknown[] } }
    parent.child.list.push({ parent })
    expect(refusalOf({ parent }, 'input').message).toBe(
      'input.parent.child.list[1].parent is a cycle: it leads back to input.parent',
    )
    const map = new Map<string, unknown>()
    map.set('self', map)
    expect(refusalOf(map).message).toBe('value.values()[0] is a cycle: it leads back to value')
  })

  it('an array that claims a length beyond reason, at once', () => {
    const endless = new Proxy([], { get: (_, key) => (key === 'length' ? 2 ** 53 : undefined) })
    expect(refusalOf({ endless, sparse: new Array(2 ** 32 - 1) }).message).toContain(
      'value.endless',
    )
    expect(refusalOf(new Array(2 ** 32 - 1)).cause).toBeInstanceOf(RangeError)
  })

  it('a detached ArrayBuffer', () => {
    const bytes = new Uint8Array(8)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    expect(refusalOf({ bytes }).message).toBe('value.bytes could not be encoded')
  })
})

describe('what lies about itself', () => {
  it('a Proxy is read as what it stands for', () => {
    expect(roundTrip(new Proxy({ a: 1 }, {}))).toStrictEqual({ a: 1 })
    expect(roundTrip(new Proxy([1, 2], {}))).toStrictEqual([1, 2])
  })

  it('a subclass cannot make the bytes contradict each other', () => {
    class Liar extends Float64Array {
      override get length(): number {
        return 5
      }
      override get byteLength(): number {
        return 3
      }
      override get [Symbol.toStringTag](): 'Float64Array' {
        return 'Int8Array' as 'Float64Array'
      }
    }
    expect(roundTrip(new Liar([1.5]))).toStrictEqual(Float64Array.of(1.5))

    class Pattern extends RegExp {
      override get source(): string {
        return '('
      }
    }
    expect(roundTrip(new Pattern('a', 'g'))).toStrictEqual(/a/g)

    class Odd extends Map<string, number> {
      override get size(): number {
        return 7
      }
      override entries(): never {
        throw new Error('never asked')
      }
    }
    expect(roundTrip(new Odd([['a', 1]]))).toStrictEqual(new Map([['a', 1]]))
    expect(roundTrip({ [Symbol.toStringTag]: 'Map', a: 1 })).toStrictEqual({ a: 1 })
    expect(roundTrip(Object.create(Map.prototype, {}))).toStrictEqual({})
  })

  it('a getter may encode meanwhile, even what is just being encoded', () => {
    let inside = false
    const node = {
      get again() {
        if (inside) return 'inside'
        inside = true
        return roundTrip(deep(node))
      },
      text: 'after',
    }
    const deep = (value: unknown) => nested(100, (inner) => [inner ?? value])
    const expected = { again: deep({ again: 'inside', text: 'after' }), text: 'after' }
    expect(roundTrip(deep(node))).toStrictEqual(deep(expected))
  })

  it('what is referred to twice far down is no cycle', () => {
    const twice = { a: 1 }
    const deep = nested(100, (inner) => [inner ?? [twice, { twice }]])
    expect(roundTrip(deep)).toStrictEqual(deep)
  })
})
