import { contract, procedure, topic } from '@clusterwire/core'
import { createLinkPair } from '@clusterwire/core/peer'
import { createMemoryMesh, settle, TestClock } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const desk = contract('desk', {
  greet: procedure({ output: z.string(), timeout: 1_000 }),
  store: procedure({ input: z.instanceof(Uint8Array), timeout: 1_000 }),
  news: topic(z.int()),
  pages: topic(z.instanceof(Uint8Array)),
})

async function scene() {
  const clock = new TestClock()
  const mesh = await createMemoryMesh({ workers: 2, clock })
  onTestFinished(() => mesh.close())
  const [one, two] = mesh.workers
  if (one === undefined || two === undefined) throw new Error('two workers are needed')
  for (const worker of [one, two]) {
    worker.serve(desk, { greet: () => `from ${worker.number}`, store: () => {} })
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
    (error: { code: string; started?: string }) => {
      seen.outcome = [error.code, error.started].filter(Boolean).join(' ')
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
  await expect.poll(() => call.outcome).toBe('WORKER_LOST unknown')
})

/** The numbers of outcomes by what they are. */
function tally(calls: readonly { outcome: unknown }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of calls) counts[String(outcome)] = (counts[String(outcome)] ?? 0) + 1
  return counts
}

const MEGABYTE = new Uint8Array(2 ** 20)

test('a frozen worker takes 213 KiB; a request that waits behind them has not run when it is killed', async () => {
  const { mesh, one } = await scene()
  one.freeze()
  const store = (size: number) =>
    watch(mesh.primary.client(desk, { to: one.number }).store(new Uint8Array(size)))
  const calls = Array.from({ length: 10 }, () => store(50 * 1024))
  await settle()
  one.kill()
  await settle()
  expect(tally(calls)).toEqual({ 'WORKER_LOST unknown': 4, 'WORKER_LOST no': 6 })
})

test('what waits for a frozen worker counts: beyond 64 MiB a call is refused, and the thaw brings the others through', async () => {
  const { mesh, one, two } = await scene()
  one.freeze()
  const client = mesh.primary.client(desk, { to: one.number })
  const calls: { outcome: unknown }[] = []
  for (let n = 0; n < 70; n++) {
    calls.push(watch(client.store(MEGABYTE)))
    await settle()
  }
  const taken = tally(calls).pending as number
  expect(taken).toBeGreaterThan(60)
  expect(tally(calls)).toEqual({ pending: taken, OVERLOADED: 70 - taken })
  expect(await mesh.primary.client(desk, { to: two.number }).greet()).toBe('from 2')
  one.thaw()
  await expect.poll(() => tally(calls)).toEqual({ undefined: taken, OVERLOADED: 70 - taken })
  expect(await mesh.primary.client(desk, { to: one.number }).greet()).toBe('from 1')
})

test('C18: a worker that does not read gets no more publications than wait for it already; nobody else waits', async () => {
  const { mesh, one, two } = await scene()
  const got = new Map<number, number>([mesh.primary, one, two].map(({ number }) => [number, 0]))
  for (const peer of [mesh.primary, one, two])
    peer.subscribe(desk.pages, () => void got.set(peer.number, (got.get(peer.number) ?? 0) + 1))
  await settle()
  await mesh.primary.broadcast(desk.pages, new Uint8Array(1))
  one.freeze()
  for (let n = 0; n < 30; n++) {
    mesh.primary.publish(desk.pages, MEGABYTE)
    await settle()
  }
  expect(Object.fromEntries(got)).toEqual({ 0: 31, 1: 1, 2: 31 })
  const { outcomes } = await mesh.primary.broadcast(desk.pages, MEGABYTE)
  const outcome = (number: number) => outcomes.find(({ member }) => member.number === number)
  expect(outcome(1)).toMatchObject({ status: 'failed', error: { code: 'OVERLOADED' } })
  expect(outcome(2)?.status).toBe('applied')
  one.thaw()
  // What was taken for it arrives when it reads again: 16 MiB that waited, and what was under way.
  await expect.poll(() => got.get(1)).toBe(1 + 17)
  await mesh.primary.broadcast(desk.pages, MEGABYTE)
  expect(Object.fromEntries(got)).toEqual({ 0: 33, 1: 19, 2: 33 })
})

test('what a killed worker had handed over arrives, and then its end; what a frozen one makes does not', async () => {
  const { clock, mesh, one } = await scene()
  const heard: number[] = []
  mesh.primary.subscribe(desk.news, (n) => void heard.push(n))
  one.delay(100)
  one.publish(desk.news, 1)
  one.publish(desk.news, 2)
  await settle()
  one.freeze()
  one.publish(desk.news, 3)
  await settle()
  one.kill()
  const call = watch(mesh.primary.client(desk, { to: one.number }).greet())
  await clock.advance(99)
  expect([heard, call.outcome]).toEqual([[], 'pending'])
  await clock.advance(1)
  expect([heard, call.outcome]).toEqual([[1, 2], 'WORKER_LOST unknown'])
})

test('a link that is cut loses what was under way, in both directions, and both sides see its end', async () => {
  const { clock, mesh, one, two } = await scene()
  const heard: number[] = []
  mesh.primary.subscribe(desk.news, (n) => void heard.push(n))
  one.delay(100)
  one.publish(desk.news, 1)
  const there = watch(mesh.primary.client(desk, { to: one.number }).greet())
  const back = watch(one.client(desk, { to: two.number }).greet())
  await settle()
  one.cut()
  await settle()
  expect([there.outcome, back.outcome]).toEqual(['WORKER_LOST unknown', 'WORKER_LOST unknown'])
  expect(one.peer.closed).toBe(true)
  await clock.advance(1_000)
  expect(heard).toEqual([])
  expect(await mesh.primary.client(desk).greet()).toBe('from 2')
})

test('faults are for links in memory', async () => {
  const mesh = await createMemoryMesh({ workers: 1, createLinks: () => createLinkPair() })
  onTestFinished(() => mesh.close())
  expect(() => mesh.workers[0]?.cut()).toThrow(/createLinks/)
})
