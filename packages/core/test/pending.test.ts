// Deadlines: nothing ends early, nothing ends late, and however many there are, one timer watches over them.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PendingTable, type Waiter } from '../src/pending.js'
import { lab } from './fixtures/lab.js'
import { serveLab } from './fixtures/workbench.js'
import { allReady, failureOf, ManualClock, openMesh, turn, until } from './support.js'

/** Adds a waiter that writes down when it expires. */
function addWaiter(table: PendingTable<Waiter>, clock: ManualClock, deadline: number) {
  const waiter = {
    id: table.nextId(),
    deadline,
    expiredAt: undefined as number | undefined,
    expire() {
      expect(this.expiredAt).toBeUndefined()
      this.expiredAt = clock.now()
    },
  }
  table.add(waiter)
  return waiter
}

test('each of many ends at its own deadline: never before, and within a millisecond after', () => {
  const step = fc.record({
    wait: fc.double({ min: 0, max: 50, noNaN: true }),
    timeout: fc.double({ min: 0.01, max: 200, noNaN: true }),
    settles: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const clock = new ManualClock()
      const table = new PendingTable<Waiter>(clock)
      const waiters: ReturnType<typeof addWaiter>[] = []
      const settled = new Set<unknown>()
      for (const { wait, timeout, settles } of steps) {
        clock.advance(wait)
        expect(clock.timers).toBeLessThanOrEqual(1)
        const waiter = addWaiter(table, clock, clock.now() + timeout)
        waiters.push(waiter)
        if (settles) {
          table.remove(waiter.id)
          settled.add(waiter)
        }
      }
      clock.advance(1_000)
      expect(table.size).toBe(0)
      expect(clock.timers).toBe(0)
      for (const waiter of waiters) {
        const late = (waiter.expiredAt ?? Number.NaN) - waiter.deadline
        if (settled.has(waiter)) expect(waiter.expiredAt).toBeUndefined()
        else expect(late >= 0 && late <= 1.001).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

test('one without a deadline waits for ever, and needs no timer', () => {
  const clock = new ManualClock()
  const table = new PendingTable<Waiter>(clock)
  const waiter = addWaiter(table, clock, Number.POSITIVE_INFINITY)
  expect(clock.timers).toBe(0)
  clock.advance(1e12)
  expect(waiter.expiredAt).toBeUndefined()
  expect(table.size).toBe(1)
})

test('one that ends another when its time is up does so once', () => {
  const clock = new ManualClock()
  const table = new PendingTable<Waiter>(clock)
  const second = addWaiter(table, clock, 10)
  table.add({ id: 100, deadline: 5, expire: () => table.remove(second.id) })
  clock.advance(100)
  expect(second.expiredAt).toBeUndefined()
  expect(table.size).toBe(0)
})

test('closing stops the timer', () => {
  const clock = new ManualClock()
  const table = new PendingTable<Waiter>(clock)
  const waiter = addWaiter(table, clock, 10)
  table.close()
  expect(clock.timers).toBe(0)
  clock.advance(100)
  expect(waiter.expiredAt).toBeUndefined()
})

test('a thousand calls with different deadlines end in the order of these, and no other', async () => {
  const clock = new ManualClock()
  const mesh = await openMesh({ workers: 1, clock })
  let running = 0
  serveLab(mesh.workers[0] as (typeof mesh.workers)[0], {
    hold: () => {
      running++
      return new Promise(() => {})
    },
  })
  await allReady(mesh)
  const client = mesh.primary.client(lab)
  const order: number[] = []
  const timeouts = Array.from({ length: 1000 }, (_, n) => ((n * 617) % 1000) + 1)
  const calls = timeouts.map(async (timeout) => {
    const { code } = await failureOf(client.hold(timeout, { timeout }))
    order.push(timeout)
    return code
  })
  await until(() => running === 1000, 'all run')
  // The primary's calls, the worker's own, and nothing per call.
  expect(clock.timers).toBeLessThan(5)
  clock.advance(500)
  await turn()
  expect(order.length).toBeGreaterThanOrEqual(499)
  expect(order.length).toBeLessThanOrEqual(500)
  clock.advance(600)
  expect(new Set(await Promise.all(calls))).toEqual(new Set(['DEADLINE_EXCEEDED']))
  expect(order).toEqual([...timeouts].sort((a, b) => a - b))
})

test('the longest timeout there is can be asked for', async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  const mesh = await openMesh({ workers: 1 })
  serveLab(mesh.workers[0] as (typeof mesh.workers)[0])
  await allReady(mesh)
  const client = mesh.primary.client(lab)
  for (let n = 0; n < 20; n++) expect(await client.anything(n, { timeout: 2 ** 31 - 1 })).toBe(n)
  await turn()
  process.off('warning', note)
  expect(warnings).toEqual([])
})
