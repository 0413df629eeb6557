import { contract, procedure } from '@clusterwire/core'
import { createMemoryMesh, settle, TestClock } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const desk = contract('desk', { greet: procedure({ output: z.string(), timeout: 1_000 }) })

async function scene() {
  const clock = new TestClock()
  const mesh = await createMemoryMesh({ workers: 2, clock })
  onTestFinished(() => mesh.close())
  const [one, two] = mesh.workers
  if (one === undefined || two === undefined) throw new Error('two workers are needed')
  for (const worker of [one, two]) {
    worker.serve(desk, { greet: () => `from ${worker.number}` })
    await worker.ready()
  }
  return { clock, mesh, one, two }
}

/** Notes how a promise settles, without waiting for it. */
function watch(promise: Promise<unknown>): { outcome: unknown } {
  const seen: { outcome: unknown } = { outcome: 'pending' }
  promise.then(
    (value) => {
      seen.outcome = value
    },
    (error: { code: string }) => {
      seen.outcome = error.code
    },
  )
  return seen
}

test('on a test clock, a deadline passes when the test says so, and not before', async () => {
  const { clock, mesh, one } = await scene()
  one.freeze()
  const call = watch(mesh.primary.client(desk, { to: one.number }).greet())
  await clock.advance(999)
  expect(call.outcome).toBe('pending')
  await clock.advance(2)
  expect(call.outcome).toBe('DEADLINE_EXCEEDED')
})

test('a frozen worker answers nothing until it thaws, and the others go on', async () => {
  const { mesh, one, two } = await scene()
  one.freeze()
  const call = watch(mesh.primary.client(desk, { to: one.number }).greet())
  expect(await mesh.primary.client(desk, { to: two.number }).greet()).toBe('from 2')
  await settle()
  expect(call.outcome).toBe('pending')
  one.thaw()
  await expect.poll(() => call.outcome).toBe('from 1')
})

test('a delay lets time pass in each direction', async () => {
  const { clock, mesh, one } = await scene()
  one.delay(100)
  const call = watch(mesh.primary.client(desk, { to: one.number }).greet())
  await clock.advance(199)
  expect(call.outcome).toBe('pending')
  await clock.advance(1)
  expect(call.outcome).toBe('from 1')
})

test('a killed worker settles its calls at once, even a frozen one', async () => {
  const { mesh, one } = await scene()
  one.freeze()
  const call = watch(mesh.primary.client(desk, { to: one.number }).greet())
  await settle()
  one.kill()
  await expect.poll(() => call.outcome).toBe('WORKER_LOST')
})
