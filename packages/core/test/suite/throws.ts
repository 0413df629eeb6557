// What handlers throw, and what their callers get to know of it.

import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { failureOf } from '../support.js'
import { openPair, type Stage } from './scene.js'

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
    message: { get: broken },
    name: { get: broken },
    stack: { get: broken },
    cause: { get: broken },
    code: { get: broken },
  })

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
]

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
}
