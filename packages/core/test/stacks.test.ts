import { contract, procedure, stream } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'

const desk = contract('desk', { fail: procedure(), flow: stream() })

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
