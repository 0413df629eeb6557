// Contracts that can't be: refused where they are written, with what to do about it.

import * as core from '@clusterwire/core'
import {
  ClusterwireError,
  contract,
  DEFAULT_TIMEOUT,
  type Member,
  procedure,
  stream,
  topic,
} from '@clusterwire/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from './fixtures/lab.js'
import { serveLab } from './fixtures/workbench.js'
import { allReady, openMesh } from './support.js'

const refusal = (make: () => unknown): { code: string; message: string } => {
  try {
    make()
  } catch (error) {
    if (error instanceof ClusterwireError) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error('It was accepted')
}

describe('names', () => {
  test.each(['pricing', 'a', 'a.b.c', '_private', 'with-dash', 'v2.Prices_1', 'n'.repeat(128)])(
    'a contract may be called %s',
    (name) => {
      const made = contract(name, { ask: procedure() })
      expect(made.ask.name).toBe(`${name}.ask`)
    },
  )

  test.each(['', '1st', 'a b', 'a..b', '.a', 'a.', 'ä', 'a/b', 'a\n', 'n'.repeat(129)])(
    'a contract may not be called %j',
    (name) => {
      const { code, message } = refusal(() => contract(name, {}))
      expect(code).toBe('INVALID_CONTRACT')
      expect(message).toContain(JSON.stringify(name))
      expect(message).toContain('letters')
    },
  )

  test.each([
    'then',
    'catch',
    'finally',
    'constructor',
    'prototype',
    '__proto__',
    'toString',
    'toJSON',
    'valueOf',
    'hasOwnProperty',
    'asymmetricMatch',
    '1st',
    'a-b',
    'a.b',
    '',
    'ä',
    'n'.repeat(128),
  ])('a member may not be called %j', (name) => {
    const { code, message } = refusal(() => contract('pricing', { [name]: procedure() }))
    expect(code).toBe('INVALID_CONTRACT')
    expect(message).toContain('"pricing"')
    expect(message).toContain(`"${name}"`)
  })

  test('a member may have the name of anything that a peer or a client has', async () => {
    const names = ['client', 'serve', 'close', 'call', 'name', 'apply', 'length', 'on', '$x', '_y']
    const odd = contract(
      'odd',
      Object.fromEntries(names.map((name) => [name, procedure({ output: z.string() })])),
    )
    const mesh = await openMesh({ workers: 1 })
    mesh.workers[0]?.serve(odd, Object.fromEntries(names.map((name) => [name, () => name])))
    await mesh.workers[0]?.ready()
    const client = mesh.primary.client(odd)
    for (const name of names) expect(await client[name]?.()).toBe(name)
  })

  test('a client is no promise, and has nothing but its methods', async () => {
    const mesh = await openMesh()
    const client = mesh.primary.client(lab)
    expect(await Promise.resolve(client)).toBe(client)
    expect('then' in client).toBe(false)
    expect('news' in client).toBe(false)
    expect('nothing' in client).toBe(false)
    const all = mesh.primary.all(lab)
    expect(Object.keys(all).sort()).toEqual(['anything', 'greet', 'hold', 'hurry', 'look'])
  })
})

describe('members', () => {
  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a function', () => 1],
    ['a schema', z.string()],
    ['another contract', contract('other', {})],
  ])('%s is no member', (_name, member) => {
    const { code, message } = refusal(() => contract('pricing', { quote: member as never }))
    expect(code).toBe('INVALID_CONTRACT')
    expect(message).toContain('"quote" must be made by procedure(), stream() or topic()')
  })

  test('what is declared can not be changed', () => {
    const pricing = contract('pricing', { quote: procedure(), changed: topic(z.string()) })
    expect(() => Object.assign(pricing, { other: procedure() })).toThrow(TypeError)
    expect(() => Object.assign(pricing.quote, { timeout: 1 })).toThrow(TypeError)
    expect(() => Object.assign(pricing.changed, { retain: true })).toThrow(TypeError)
  })

  test('one procedure may be part of several contracts', () => {
    const shared = procedure({ timeout: 5 })
    expect(contract('a', { ask: shared }).ask.name).toBe('a.ask')
    expect(contract('b', { say: shared }).say.name).toBe('b.say')
  })

  test('a procedure takes 30 seconds at most, and a stream as long as it likes, unless told otherwise', () => {
    expect(procedure().timeout).toBe(DEFAULT_TIMEOUT)
    expect(DEFAULT_TIMEOUT).toBe(30_000)
    expect(procedure({ timeout: 5 }).timeout).toBe(5)
    expect(stream().timeout).toBe(0)
    expect(stream({ timeout: 5 }).timeout).toBe(5)
  })
})

describe('options', () => {
  const bad = 'nonsense' as never
  test.each<[option: string, make: () => Member]>([
    ['input', () => procedure({ input: bad })],
    ['output', () => procedure({ output: bad })],
    ['input', () => stream({ input: bad })],
    ['upload', () => stream({ upload: bad })],
    ['output', () => stream({ output: bad })],
    ['schema', () => topic(bad)],
    ['errors.GONE', () => procedure({ errors: { GONE: bad } })],
  ])('%s must be a schema', (option, make) => {
    const { code, message } = refusal(make)
    expect(code).toBe('INVALID_CONTRACT')
    expect(message).toContain(`"${option}" must be a schema`)
    expect(message).toContain('string')
  })

  test('a topic needs a schema', () => {
    expect(refusal(() => topic(undefined as never)).message).toContain('needs a schema')
  })

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '500' as never])(
    'a timeout can not be %s',
    (timeout) => {
      for (const make of [() => procedure({ timeout }), () => stream({ timeout })]) {
        const { code, message } = refusal(make)
        expect(code).toBe('INVALID_CONTRACT')
        expect(message).toContain(`got ${timeout}`)
      }
    },
  )

  test.each(['unknown', 'Unknown', '1ST', 'A-B', ''])('an error may not be called %j', (code) => {
    const { message } = refusal(() => procedure({ errors: { [code]: z.string() } }))
    expect(message).toContain(`"${code}"`)
    expect(message).toContain('LIKE_THIS')
  })

  test('an error may not have the code of one of our own', () => {
    const details = { issues: [], started: 'no', size: 0, limit: 0 } as const
    const ours = Object.values(core)
      .filter((value) => typeof value === 'function' && value.prototype instanceof ClusterwireError)
      .filter((value) => value !== core.DeclaredError)
      .map((Class) => new (Class as typeof core.CancelledError)('', details as object).code)
    expect(ours.length).toBeGreaterThan(15)
    for (const code of ours) {
      const { message } = refusal(() => procedure({ errors: { [code]: z.string() } }))
      expect(message).toContain(`"${code}" is one of Clusterwire's own`)
    }
  })

  test.each([0, -1, 1.5, Number.NaN])('concurrency can not be %s', (concurrency) => {
    const { code, message } = refusal(() => procedure({ concurrency }))
    expect(code).toBe('INVALID_CONTRACT')
    expect(message).toContain(`"concurrency"`)
  })
})

describe('serving and calling', () => {
  test('every procedure needs its handler, and every handler its procedure', async () => {
    const mesh = await openMesh({ workers: 1 })
    const two = contract('two', { ask: procedure(), say: procedure() })
    const serve = (handlers: object) =>
      refusal(() => mesh.primary.serve(two, handlers as never)).message
    expect(serve({ ask() {} })).toContain('two.say needs a handler')
    expect(serve({ ask() {}, say: 'no function' })).toContain('two.say needs a handler')
    expect(serve({ ask() {}, say() {}, sing() {} })).toMatch(/"sing" is no .*ask, say/)
    // Nothing of what was refused is served.
    mesh.primary.serve(two, { ask() {}, say() {} })
    await allReady(mesh)
    await mesh.workers[0]?.client(two, { to: 'primary' }).ask()
  })

  test('a procedure is served once by each peer', async () => {
    const mesh = await openMesh({ workers: 1 })
    serveLab(mesh.primary)
    const { code, message } = refusal(() => serveLab(mesh.primary))
    expect(code).toBe('INVALID_CONTRACT')
    expect(message).toContain('lab.greet is served already')
  })

  test('what is not a contract or a topic is refused in words', async () => {
    const { primary } = await openMesh()
    for (const wrong of [undefined, null, {}, lab.greet, 'lab'] as never[])
      for (const use of [
        () => primary.client(wrong),
        () => primary.all(wrong),
        () => primary.serve(wrong, {} as never),
      ])
        expect(refusal(use)).toMatchObject({
          code: 'INVALID_CONTRACT',
          message: expect.stringContaining('contract()'),
        })
    for (const wrong of [undefined, null, {}, lab, lab.greet, 'news'] as never[])
      for (const use of [
        () => primary.publish(wrong, 1 as never),
        () => primary.subscribe(wrong, () => {}),
      ])
        expect(refusal(use)).toMatchObject({
          code: 'INVALID_CONTRACT',
          message: expect.stringContaining('topic'),
        })
  })

  test('a subscriber must be a function', async () => {
    const { primary } = await openMesh()
    expect(refusal(() => primary.subscribe(lab.news, 'x' as never))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('lab.news'),
    })
  })

  test.each([-1, 1.5, Number.NaN, 2 ** 32, 'worker 1', null])(
    'a call can not go to %s',
    async (to) => {
      const { primary } = await openMesh()
      const { code, message } = refusal(() => primary.client(lab, { to: to as never }))
      expect(code).toBe('INVALID_OPTION')
      expect(message).toContain('a worker\'s number or "primary"')
    },
  )
})
