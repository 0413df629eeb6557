// What becomes of a value on its way to another process: the table that the codec is tested
// against, and that its documentation can be made from. No test in here.

/** One kind of value that can be sent. */
export interface Survival {
  readonly what: string
  /** What the name does not say: a limit, or what it becomes. */
  readonly note?: string
  /** Examples that arrive as they were. */
  readonly same?: readonly unknown[]
  /** Examples that arrive as something else. */
  readonly changed?: readonly (readonly [sent: unknown, arrived: unknown])[]
}

/** One kind of value that cannot, and how the error puts it. */
export interface RefusedKind {
  readonly what: string
  readonly value: unknown
  readonly message: string
}

class Money {
  #secret = 'stays behind'
  readonly cents = 1299
  get euros(): number {
    return this.cents / 100
  }
  toJSON(): string {
    return `${this.#secret}: never asked`
  }
}

const shared = new SharedArrayBuffer(2)
new Uint8Array(shared).set([1, 2])
const { buffer } = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const repeated = { sku: 'a1' }
const sparse: unknown[] = [1]
sparse[2] = 3
const nullPrototype = (properties: object): object => Object.assign(Object.create(null), properties)

export const survivals: readonly Survival[] = [
  { what: '`null`, `undefined`', same: [null, undefined] },
  { what: 'booleans', same: [true, false] },
  {
    what: 'numbers',
    note: '−0, NaN and the infinities too',
    same: [
      ...[0, 1, 127, 128, 32_767, 32_768, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER],
      ...[-0, -1, -16, -17, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53)],
      ...[0.1, 1e300, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ],
  },
  {
    what: 'bigints',
    note: 'of any size',
    same: [
      ...[0n, 1n, -1n, 2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n],
      ...[2n ** 64n, 255n ** 99n, -(10n ** 999n)],
    ],
  },
  {
    what: 'strings',
    same: [
      ...Array.from({ length: 34 }, (_, length) => 'abcdefghij'.repeat(4).slice(0, length)),
      ...['é', 'naïve café', '日本語', '👩‍👩‍👧', '\0', '"\n\\', '\u{feff}mark'],
      ...['x'.repeat(5000), 'é'.repeat(5000), '👍'.repeat(20_000)],
    ],
  },
  {
    what: 'strings with a lone surrogate',
    note: 'U+FFFD in its place',
    changed: [
      ['\ud83d', '\ufffd'],
      ['a\udc4d!', 'a\ufffd!'],
      [`${'x'.repeat(40)}\ud83d`, `${'x'.repeat(40)}\ufffd`],
    ],
  },
  { what: 'Date', note: 'invalid ones too', same: [new Date(0), new Date(-1.5e12), new Date('?')] },
  { what: 'arrays', same: [[], [1, 'two', [3]], Array.from({ length: 300 }, (_, i) => i)] },
  { what: 'holes in arrays', note: '`undefined`', changed: [[sparse, [1, undefined, 3]]] },
  {
    what: 'plain objects',
    note: 'own enumerable string keys, in order; values of `undefined` too',
    same: [{}, { b: 1, a: { c: undefined } }, { '': 1, ключ: 2, 'odd key': 3, 7: 4 }],
  },
  { what: 'symbol keys', note: 'left out', changed: [[{ a: 1, [Symbol('b')]: 2 }, { a: 1 }]] },
  { what: 'objects without a prototype', same: [nullPrototype({}), nullPrototype({ a: 1 })] },
  {
    what: 'keys like `__proto__` and `constructor`',
    note: 'own properties and nothing more',
    same: [
      { ['__proto__']: { admin: true } },
      { ['__proto__']: null },
      { constructor: 1, toString: 2, hasOwnProperty: 3 },
    ],
  },
  {
    what: 'Map',
    note: 'keys of any kind',
    same: [new Map(), new Map([['a', 1]]), new Map([[{ key: 1 }, new Map([[null, 2]])]])],
  },
  { what: 'Set', same: [new Set(), new Set([1, 'a', null])] },
  { what: 'RegExp', note: '`lastIndex` begins at 0', same: [/a+\/[^"]/giu, /(?:)/] },
  { what: 'URL', same: [new URL('https://example.org/ü?q=1#x')] },
  {
    what: 'Uint8Array',
    note: 'a copy',
    same: [new Uint8Array(), Uint8Array.of(0, 128, 255), new Uint8Array(buffer, 2, 3)],
  },
  {
    what: 'Buffer',
    note: 'a Uint8Array',
    changed: [[Buffer.from('hé'), Uint8Array.of(104, 195, 169)]],
  },
  { what: 'ArrayBuffer', note: 'a copy', same: [new ArrayBuffer(0), buffer] },
  {
    what: 'other typed arrays, DataView',
    note: 'a copy of their own range',
    same: [
      ...[Int8Array.of(-1), Uint8ClampedArray.of(300), new Int16Array(buffer, 2, 2)],
      ...[Uint16Array.of(65_535), Int32Array.of(-(2 ** 31)), Uint32Array.of(2 ** 32 - 1)],
      ...[Float32Array.of(1.5), Float64Array.of(0.1, -0, Number.NaN)],
      ...[BigInt64Array.of(-1n), BigUint64Array.of(2n ** 64n - 1n), new DataView(buffer, 1, 3)],
    ],
  },
  {
    what: 'views of shared memory',
    note: 'a copy that is not shared',
    changed: [[new Uint8Array(shared), Uint8Array.of(1, 2)]],
  },
  {
    what: 'errors',
    note: '`name`, `message`, `stack`, `cause`, `errors`, `code` and own enumerable properties',
    same: [
      new Error('plain'),
      new TypeError('built in', { cause: new RangeError('deeper') }),
      new AggregateError([new Error('one'), 'two'], 'several'),
      Object.assign(new Error('of the system'), { code: 'ENOENT', errno: -2, path: '/nowhere' }),
    ],
  },
  {
    what: 'instances of classes',
    note: 'plain objects; methods, private fields and what is inherited stay behind',
    changed: [
      [new Money(), { cents: 1299 }],
      [Object.assign(Object.create({ inherited: 1 }), { own: 2 }), { own: 2 }],
    ],
  },
  {
    what: 'boxed primitives',
    note: 'the primitive',
    changed: [
      [Object(1), 1],
      [Object('a'), 'a'],
      [Object(true), true],
      [Object(1n), 1n],
    ],
  },
  {
    what: 'what is referred to twice',
    note: 'two separate values',
    changed: [
      [
        [repeated, repeated],
        [{ sku: 'a1' }, { sku: 'a1' }],
      ],
    ],
  },
]

export const refusals: readonly RefusedKind[] = [
  { what: 'functions', value: () => {}, message: 'value is a function, which cannot be sent' },
  { what: 'symbols', value: Symbol('s'), message: 'value is a symbol, which cannot be sent' },
  {
    what: 'promises',
    value: Promise.resolve(),
    message: 'value is a Promise, which cannot be sent',
  },
  {
    what: 'generators',
    value: (function* () {})(),
    message: 'value is a generator, which cannot be sent',
  },
  { what: 'WeakMap', value: new WeakMap(), message: 'value is a WeakMap, which cannot be sent' },
  { what: 'WeakSet', value: new WeakSet(), message: 'value is a WeakSet, which cannot be sent' },
  { what: 'WeakRef', value: new WeakRef({}), message: 'value is a WeakRef, which cannot be sent' },
  {
    what: 'SharedArrayBuffer',
    value: shared,
    message: 'value is a SharedArrayBuffer, which cannot be sent',
  },
]
