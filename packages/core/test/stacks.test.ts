import { inspect } from 'node:util'
import { contract, procedure, stream } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const desk = contract('desk', {
  fail: procedure({ errors: { REFUSED: z.string() } }),
  flow: stream(),
})

function failingHandler(): never {
  throw new RangeError('too far', { cause: new Error('the reason') })
}

test('the error of a failed call shows the line that made the call, and the line that threw', async () => {
  const mesh = await createMemoryMesh({ workers: 1 })
  onTestFinished(() => mesh.close())
  const [worker] = mesh.workers
  worker?.serve(desk, { fail: failingHandler, flow: failingHandler })
  await worker?.ready()
  async function callingFunction(): Promise<void> {
    await mesh.primary.client(desk).fail()
  }
  const error = await callingFunction().catch((thrown: Error) => thrown)
  expect(error).toMatchObject({
    name: 'HandlerError',
    code: 'HANDLER_ERROR',
    procedure: 'desk.fail',
  })
  expect(error?.stack).toContain('callingFunction')
  const original = error?.cause as Error
  expect(original).toMatchObject({ name: 'RangeError', message: 'too far' })
  expect(original.stack).toContain('failingHandler')
  expect(original.cause).toMatchObject({ message: 'the reason' })
  async function openingFunction(): Promise<void> {
    const values = mesh.primary.client(desk).flow()
    // A stream begins when it is first read, which may be elsewhere.
    await values.next()
  }
  const broken = await openingFunction().catch((thrown: Error) => thrown)
  expect(broken).toMatchObject({ code: 'HANDLER_ERROR', procedure: 'desk.flow' })
  expect(broken?.stack).toContain('openingFunction')
})

test('where stacks are not to be told, none is: not of the error, not of its causes', async () => {
  const mesh = await createMemoryMesh({ workers: 1 })
  onTestFinished(() => mesh.close())
  const [worker] = mesh.workers
  // As in production.
  Object.assign(worker?.peer ?? {}, { stacks: false })
  worker?.serve(desk, {
    fail: (_input, { errors, meta }) => {
      const cause = new AggregateError([new Error('the root')], 'the reason')
      if (meta.declared === 'yes') throw errors.REFUSED('no', { cause })
      throw new RangeError('too far', { cause })
    },
    flow: failingHandler,
  })
  await worker?.ready()
  for (const declared of ['yes', 'no']) {
    const call = mesh.primary.client(desk).fail(undefined, { meta: { declared } })
    const error = await call.catch((thrown: unknown) => thrown)
    const shown = inspect(error, { depth: 10 })
    expect(shown).toContain('the reason')
    expect(shown).toContain('the root')
    expect(shown).not.toContain('-- on')
    // This file is on the stack of the call, once, and nowhere else.
    expect(shown.split('stacks.test.ts')).toHaveLength(2)
  }
})
