// Values that do not fit: who says so, in which words, and what does not happen then.

import { contract, procedure } from '@clusterwire/core'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { allReady, failureOf, ManualClock } from '../support.js'
import { openPair, type Stage } from './scene.js'

export function describeRefusals(stage: Stage): void {
  test('C8: input that does not fit is refused with the procedure, the field and the reason; the handler never runs', async () => {
    const greet = vi.fn()
    const { caller, target } = await openPair(stage, { greet })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Ada', times: -1 }))
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'lab.greet' })
    expect(error.message).toMatch(/lab\.greet: .*times: .*>0/)
    expect(error.issues).toHaveLength(1)
    expect(greet).not.toHaveBeenCalled()
  })

  test('input that passes the caller’s schema but not the handler’s is refused by the handler’s side', async () => {
    const age = z.int()
    const loose = contract('people', { add: procedure({ input: z.object({ age }) }) })
    const strict = contract('people', {
      add: procedure({ input: z.object({ age: age.refine((n) => n < 150, 'is too old') }) }),
    })
    const { mesh, caller, callee, target } = await openPair(stage)
    const add = vi.fn()
    callee.serve(strict, { add })
    await allReady(mesh)
    const error = await failureOf(caller.client(loose, target).add({ age: 200 }))
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'people.add' })
    expect(error.message).toMatch(/people\.add: .*age: is too old/)
    expect(error.issues?.[0]).toMatchObject({ path: ['age'] })
    expect(add).not.toHaveBeenCalled()
  })

  test('must pass 20: two versions of a contract work together where they can, and say INCOMPATIBLE where not', async () => {
    const old = contract('versions', {
      grow: procedure({ input: z.object({ age: z.int() }), output: z.object({ age: z.int() }) }),
      take: procedure({ input: z.object({ age: z.any() }) }),
      give: procedure({ output: z.object({ age: z.int() }) }),
    })
    const next = contract('versions', {
      grow: procedure({
        input: z.object({ age: z.int(), by: z.int().optional() }),
        output: z.object({ age: z.int(), grown: z.boolean() }),
      }),
      take: procedure({ input: z.object({ age: z.int() }) }),
      give: procedure({ output: z.object({ age: z.string() }) }),
    })
    const { mesh, caller, callee, target } = await openPair(stage)
    const take = vi.fn()
    callee.serve(next, {
      grow: ({ age, by = 1 }) => ({ age: age + by, grown: true }),
      take,
      give: () => ({ age: 'old' }),
    })
    await allReady(mesh)
    const client = caller.client(old, target)
    expect(await client.grow({ age: 1 })).toMatchObject({ age: 2 })
    const input = await failureOf(client.take({ age: 'old' }))
    expect(input).toMatchObject({ code: 'INCOMPATIBLE', procedure: 'versions.take' })
    expect(input.message).toMatch(/versions\.take: .*age: .*number/)
    expect(take).not.toHaveBeenCalled()
    const output = await failureOf(client.give())
    expect(output).toMatchObject({ code: 'INCOMPATIBLE', procedure: 'versions.give' })
    expect(output.message).toMatch(/versions\.give: .*age: .*number/)
  })

  test('C9: output that does not fit is refused with the procedure, the field and the reason', async () => {
    const { caller, target } = await openPair(stage, {
      greet: () => ({ text: 'hello', by: 'me' as unknown as number }),
    })
    const error = await failureOf(caller.client(lab, target).greet({ name: 'Ada', times: 1 }))
    expect(error).toMatchObject({ code: 'INVALID_RESPONSE', procedure: 'lab.greet' })
    expect(error.message).toMatch(/lab\.greet: .*by: .*number/)
  })

  test('input that can not be sent is refused at the caller, with the procedure and the path to it', async () => {
    const anything = vi.fn()
    const { caller, target } = await openPair(stage, { anything })
    const client = caller.client(lab, target)
    const error = await failureOf(client.anything({ order: { lines: [{ price: () => 1 }] } }))
    expect(error).toMatchObject({ code: 'INVALID_VALUE', procedure: 'lab.anything' })
    expect(error.message).toContain('lab.anything')
    expect(error.message).toContain('order.lines[0].price')
    expect(anything).not.toHaveBeenCalled()
    expect(caller.pending).toBe(0)
    await client.greet({ name: 'Ada', times: 1 })
  })

  test('output that can not be sent fails the call, with the procedure and the path to it', async () => {
    const { caller, target } = await openPair(stage, { anything: () => ({ later: [() => 1] }) })
    const error = await failureOf(caller.client(lab, target).anything(1))
    expect(error).toMatchObject({ code: 'INVALID_RESPONSE', procedure: 'lab.anything' })
    expect(error.message).toContain('lab.anything')
    expect(error.message).toContain('later[0]')
  })

  test('C5: a message that is too large is refused at the sender, with its size; the link goes on', async () => {
    const { caller, target } = await openPair(stage, {}, { limit: 64 * 1024 })
    const client = caller.client(lab, target)
    const error = await failureOf(client.anything(new Uint8Array(100_000)))
    expect(error).toMatchObject({ code: 'FRAME_TOO_LARGE', procedure: 'lab.anything' })
    expect(error.message).toContain('lab.anything')
    expect(error.size).toBeGreaterThan(100_000)
    expect(error.limit).toBe(64 * 1024)
    expect(await client.anything('next')).toBe('next')
  })

  test('an answer that is too large fails its call; the link goes on', async () => {
    const { caller, target } = await openPair(
      stage,
      { anything: (size) => new Uint8Array(size) },
      { limit: 64 * 1024 },
    )
    const client = caller.client(lab, target)
    const error = await failureOf(client.anything(100_000))
    expect(error).toMatchObject({ code: 'INVALID_RESPONSE' })
    expect(error.message).toContain(String(64 * 1024))
    expect(error.message).toContain('lab.anything')
    expect(await client.anything(10)).toHaveLength(10)
  })

  test('a timeout that can not be one is refused', async () => {
    const { caller, target } = await openPair(stage)
    const client = caller.client(lab, target)
    for (const timeout of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5' as unknown as number]) {
      const error = await failureOf(client.anything(1, { timeout }))
      expect(error).toMatchObject({ code: 'INVALID_OPTION' })
      expect(error.message).toContain(String(timeout))
    }
  })

  test('must pass 3: what nobody serves is UNIMPLEMENTED at once', async () => {
    const unserved = contract('unserved', { nothing: procedure() })
    // Time stands still: no timeout can be what settles it.
    const { caller, target } = await openPair(stage, {}, { clock: new ManualClock() })
    const error = await failureOf(caller.client(unserved, target).nothing())
    expect(error).toMatchObject({ code: 'UNIMPLEMENTED', procedure: 'unserved.nothing' })
    expect(error.message).toContain('unserved.nothing')
  })

  test('C11: a procedure that is not served is UNIMPLEMENTED at once, with what is served instead', async () => {
    // Time stands still: no timeout can be what settles it.
    const { caller, target } = await openPair(stage, {}, { clock: new ManualClock() })
    const renamed = contract('lab', { greetings: procedure() })
    const error = await failureOf(caller.client(renamed, target).greetings())
    expect(error).toMatchObject({ code: 'UNIMPLEMENTED', procedure: 'lab.greetings' })
    expect(error.message).toMatch(/\(but lab\.greet, lab\.anything, .*\)/)
    const moved = contract('office', { Greet: procedure() })
    expect((await failureOf(caller.client(moved, target).Greet())).message).toContain(
      '(but lab.greet)',
    )
    expect(caller.pending).toBe(0)
  })
}
