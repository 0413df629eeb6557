// What handlers throw, and what their callers get to know of it.

import { contract, procedure, stream } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { allReady, failureOf } from '../support.js'
import { openPair, type Stage } from './scene.js'

/** A procedure and a stream that declare an error about anything at all. */
const till = contract('till', {
  pay: procedure({ errors: { REFUSED: z.any() } }),
  parts: stream({ output: z.int(), errors: { REFUSED: z.any() } }),
})

const broken = () => {
  throw new Error('a trap')
}

/** Throws, whatever is done with it. */
const hostileProxy = (target: object) =>
  new Proxy(
    target,
    Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((trap) => [trap, broken])),
  )

const evilError = () =>
  Object.defineProperties(new Error('x'), {
    // First: making the stack reads the others.
    stack: { get: broken },
    message: { get: broken },
    name: { get: broken },
    cause: { get: broken },
    code: { get: broken },
    data: { get: broken },
  })

const withData = (data: unknown) => Object.assign(new Error('see data'), { data })

/** As many causes behind each other. */
const chained = (count: number): Error => {
  let error = new Error('the root')
  for (let n = 1; n < count; n++) error = new Error(`cause ${n}`, { cause: error })
  return error
}

/** A tree of errors that grows tenfold with each of its levels. */
const tree = (depth: number): Error =>
  depth === 0
    ? new Error('a leaf')
    : new AggregateError(
        Array.from({ length: 10 }, () => tree(depth - 1)),
        'a branch',
      )

const collected = (errors: unknown) =>
  Object.defineProperty(new AggregateError([], 'a branch'), 'errors', { value: errors })

/** What is thrown, and what the caller's error says at least. */
const thrown: readonly (readonly [name: string, make: () => unknown, says: RegExp])[] = [
  ['a string', () => 'out of paper', /out of paper/],
  ['undefined', () => undefined, /undefined/],
  ['null', () => null, /null/],
  ['a number', () => 42, /42/],
  ['a symbol', () => Symbol('sym'), /sym/],
  ['a plain object', () => ({ code: 7 }), /object/],
  ['an object without a prototype', () => Object.create(null), /lab\.(anything|hold)/],
  ['a function', () => () => 'fn', /fn/],
  ['a frozen error', () => Object.freeze(new Error('cold')), /cold/],
  ['an error whose getters throw', evilError, /lab\.(anything|hold)/],
  ['a Proxy whose traps throw', () => hostileProxy({}), /lab\.(anything|hold)/],
  [
    'a Proxy of an error whose traps throw',
    () => hostileProxy(new Error('x')),
    /lab\.(anything|hold)/,
  ],
  ['an error that is its own cause', selfCaused, /round and round/],
  ['an error with a huge message', () => new Error('m'.repeat(1e6)), /mmmm/],
  ['an error with data that can not be sent', () => withData({ run() {} }), /see data/],
  ['an error with data whose traps throw', () => withData(hostileProxy({})), /see data/],
  ['an error with data that no frame holds', () => withData('d'.repeat(2e7)), /see data/],
  [
    'an error that is its own data',
    () => Object.assign(selfCaused(), { data: selfCaused() }),
    /round/,
  ],
  ['an error with a thousand causes', () => chained(1_000), /cause 999/],
  ['a tree of errors', () => tree(4), /a branch/],
  ['errors that collect themselves', selfCollected, /a branch/],
  ['errors whose list is none', () => collected(7), /a branch/],
  ['errors whose list throws', () => collected(hostileProxy([])), /a branch/],
  ['errors of a list that is endless', () => collected(new Array(4e9)), /a branch/],
]

function selfCollected(): Error {
  const errors: unknown[] = []
  const error = collected(errors)
  errors.push(error, error)
  return error
}

function selfCaused(): Error {
  const error = new Error('round and round')
  error.cause = error
  return error
}

export function describeThrows(stage: Stage): void {
  test.each(thrown)('a handler that throws %s fails its call and nothing else', async (...row) => {
    const [, make, says] = row
    const { caller, target } = await openPair(stage, {
      anything: () => {
        throw make()
      },
      hold: () => Promise.reject(make()),
    })
    const client = caller.client(lab, target)
    for (const error of [await failureOf(client.anything(1)), await failureOf(client.hold(1))]) {
      expect(error.code).toBe('HANDLER_ERROR')
      expect(error.message).toMatch(says)
      expect(error.message.length).toBeLessThan(20_000)
    }
    expect(await client.greet({ name: 'Ada', times: 1 })).toMatchObject({ text: 'Ada' })
  })

  test('an error arrives with its name, message, code, stack and causes', async () => {
    class TeapotError extends TypeError {
      override name = 'TeapotError'
      code = 'E_TEAPOT'
    }
    const { caller, target } = await openPair(stage, {
      anything: () => {
        throw new TeapotError('short and stout', {
          cause: new RangeError('handle', { cause: 'spout' }),
        })
      },
    })
    const error = await failureOf(caller.client(lab, target).anything(1))
    expect(error).toMatchObject({ code: 'HANDLER_ERROR', procedure: 'lab.anything' })
    expect(error.message).toMatch(/lab\.anything.*TeapotError: short and stout/)
    expect(error.cause).toMatchObject({
      name: 'TeapotError',
      message: 'short and stout',
      code: 'E_TEAPOT',
      cause: { name: 'RangeError', message: 'handle', cause: { message: 'spout' } },
    })
    expect(error.cause?.stack).toContain('throws.ts')
  })

  test('an error arrives with its own data, and with all but that where it can’t be sent', async () => {
    const { caller, target } = await openPair(stage, {
      anything: (sendable) => {
        const data = sendable ? { rows: [1n, new Date(0)] } : { run() {} }
        throw Object.assign(new RangeError('too far', { cause: withData(data) }), { code: 7, data })
      },
    })
    const { anything } = caller.client(lab, target)
    const told = { name: 'RangeError', message: 'too far', code: 7 }
    const full = await failureOf(anything(true))
    const data = { rows: [1n, new Date(0)] }
    expect(full.cause).toMatchObject({ ...told, data, cause: { message: 'see data', data } })
    const short = await failureOf(anything(false))
    expect(short).toMatchObject({ code: 'HANDLER_ERROR', message: full.message })
    expect(short.cause).toMatchObject({ ...told, cause: { message: 'see data' } })
    expect(short.cause?.stack).toContain('throws.ts')
    expect(short.cause).not.toHaveProperty('data')
    expect(short.cause?.cause).not.toHaveProperty('data')
  })

  test('what an AggregateError has collected arrives, too', async () => {
    const { caller, target } = await openPair(stage, {
      anything: () => Promise.any([Promise.reject(new TypeError('one')), Promise.reject('two')]),
    })
    const { cause } = await failureOf(caller.client(lab, target).anything(1))
    expect(cause).toBeInstanceOf(AggregateError)
    expect(cause).toMatchObject({
      name: 'AggregateError',
      errors: [{ name: 'TypeError', message: 'one' }, { message: 'two' }],
    })
  })

  test('of causes and collected errors, as many are told as people read', async () => {
    const { caller, target } = await openPair(stage, {
      anything: (what) => {
        throw what === 'chain' ? chained(1_000) : tree(4)
      },
    })
    const { anything } = caller.client(lab, target)
    const size = (error: unknown): number => {
      const { cause, errors = [] } = (error ?? {}) as AggregateError
      return error === undefined ? 0 : [cause, ...errors].reduce((sum, one) => sum + size(one), 1)
    }
    for (const what of ['chain', 'tree']) {
      const told = size((await failureOf(anything(what))).cause)
      expect(told).toBeGreaterThan(4)
      expect(told).toBeLessThan(50)
    }
  })

  test('the stack of every error that a handler throws goes on where it was thrown', async () => {
    const { mesh, caller, callee, target } = await openPair(stage)
    const fail = (declared: (data: unknown) => Error, what: unknown) => {
      throw what === 'declared' ? declared(what) : new RangeError('too far')
    }
    async function theHandler(what: unknown, declared: (data: unknown) => Error): Promise<never> {
      return fail(declared, what)
    }
    callee.serve(till, {
      pay: (_input, { errors, meta }) => theHandler(meta.what, errors.REFUSED),
      async *parts(_input, { errors, meta }) {
        yield await theHandler(meta.what, errors.REFUSED)
      },
    })
    await allReady(mesh)
    const client = caller.client(till, target)
    async function theCaller(what: string): Promise<void> {
      await client.pay(undefined, { meta: { what } })
    }
    const who = callee.number === 0 ? 'the primary' : `worker ${callee.number}`
    const parts = (stack: string | undefined) => stack?.split(`\n    -- on ${who}:\n`) ?? []
    for (const what of ['declared', 'undeclared']) {
      const [here, there, ...more] = parts((await failureOf(theCaller(what))).stack)
      expect(here).toContain('theCaller')
      expect(there).toContain('theHandler')
      expect(more).toEqual([])
      const ofStream = await failureOf(client.parts(undefined, { meta: { what } }).next())
      expect(parts(ofStream.stack)[1]).toContain('theHandler')
    }
  })

  test('a declared error arrives with its code and its data', async () => {
    const { caller, target } = await openPair(stage, {
      greet: ({ name }, { errors }) => {
        throw errors.UNKNOWN_NAME({ name, known: ['Ada'] }, { message: 'who is that?' })
      },
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Bob', times: 1 }))
    expect(error).toMatchObject({
      code: 'UNKNOWN_NAME',
      data: { name: 'Bob', known: ['Ada'] },
      message: 'who is that?',
      procedure: 'lab.greet',
    })
  })

  test('the cause that a handler gives a declared error is the cause of its caller’s', async () => {
    const { caller, target } = await openPair(stage, {
      greet: ({ name }, { errors }) => {
        const cause = Object.assign(new TypeError('no row', { cause: 'no table' }), { code: 42 })
        throw errors.UNKNOWN_NAME({ name, known: [] }, { cause })
      },
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Bob', times: 1 }))
    expect(error).toMatchObject({ code: 'UNKNOWN_NAME', data: { name: 'Bob', known: [] } })
    expect(error.cause).toMatchObject({
      name: 'TypeError',
      message: 'no row',
      code: 42,
      cause: { message: 'no table' },
    })
    expect(error.cause?.stack).toContain('throws.ts')
  })

  test.each(thrown)('a declared error caused by %s arrives all the same', async (...row) => {
    const [, make] = row
    const { caller, target } = await openPair(stage, {
      greet: ({ name }, { errors }) => {
        throw errors.UNKNOWN_NAME({ name, known: [] }, { cause: make() })
      },
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Bob', times: 1 }))
    expect(error).toMatchObject({ code: 'UNKNOWN_NAME', data: { name: 'Bob', known: [] } })
  })

  test('a declared error with a huge message arrives, shortened', async () => {
    const { caller, target } = await openPair(stage, {
      greet: ({ name }, { errors }) => {
        throw errors.UNKNOWN_NAME({ name, known: [] }, { message: 'm'.repeat(2e7) })
      },
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Bob', times: 1 }))
    expect(error).toMatchObject({ code: 'UNKNOWN_NAME', data: { name: 'Bob' } })
    expect(error.message.length).toBeLessThan(20_000)
  })

  test('a declared error whose data does not fit is an INVALID_RESPONSE', async () => {
    const { caller, target } = await openPair(stage, {
      greet: (_input, { errors }) => {
        throw errors.UNKNOWN_NAME({ name: 'Bob' } as never)
      },
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Bob', times: 1 }))
    expect(error.code).toBe('INVALID_RESPONSE')
    expect(error.message).toMatch(/UNKNOWN_NAME.*known/)
  })

  test('an error that the procedure does not declare keeps its code to itself', async () => {
    const { caller, target } = await openPair(stage, {
      anything: async (_value, context) => {
        const { UNKNOWN_NAME } = context.errors as never as Record<string, undefined>
        expect(UNKNOWN_NAME).toBeUndefined()
        throw Object.assign(new Error('lost?'), { code: 'WORKER_LOST', started: 'no' })
      },
    })
    const error = await failureOf(caller.client(lab, target).anything(1))
    expect(error.code).toBe('HANDLER_ERROR')
    expect(error.cause).toMatchObject({ code: 'WORKER_LOST' })
  })

  test('a failure of the handler’s own call is the handler’s, not its caller’s', async () => {
    const { caller, callee, target } = await openPair(stage, {
      anything: () => callee.client(lab, { to: 99 }).anything(1),
    })
    const error = await failureOf(caller.client(lab, target).anything(1))
    expect(error.code).toBe('HANDLER_ERROR')
    expect(error.cause).toMatchObject({ name: 'NoWorkerError', code: 'NO_WORKER' })
  })

  test('that calls go in a circle is told as it is, through all the handlers of the circle', async () => {
    let entered = 0
    const { caller, callee, target } = await openPair(stage, {
      anything: async () => {
        entered++
        return again(1)
      },
    })
    const again = callee.client(lab, target).anything
    const error = await failureOf(caller.client(lab, target).anything(1))
    expect(entered).toBe(17)
    expect(error).toMatchObject({ code: 'CALL_TOO_DEEP', procedure: 'lab.anything' })
    expect(error.message).toMatch(/call each other/)
  })
}
