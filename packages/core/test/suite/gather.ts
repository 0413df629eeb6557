// One call to every ready worker, and what became of each.

import { contract, procedure, type Receipt, type Schema } from '@clusterwire/core'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import { allReady, controller, deferred, failureOf, ManualClock, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const ada = { name: 'Ada', times: 1 }

export function describeGather(createLinks: CreateLinks): void {
  const opened = async (clock?: ManualClock) => {
    const scene = await openScene(createLinks, { workers: 3, ...(clock && { clock }) })
    return { ...scene, workers: scene.mesh.workers }
  }
  const statuses = ({ outcomes }: Pick<Receipt, 'outcomes'>) =>
    Object.fromEntries(outcomes.map(({ member, status }) => [member.number, status]))

  test('all() calls every ready worker and gives each one’s answer', async () => {
    const { mesh, workers } = await opened()
    for (const worker of workers) serveLab(worker)
    await allReady(mesh)
    for (const peer of [mesh.primary, workers[0] as (typeof workers)[0]]) {
      const receipt = await peer.all(lab).greet(ada)
      expect(receipt.values.map(({ by }) => by)).toEqual([1, 2, 3])
      expect(receipt.ok).toBe(true)
    }
  })

  test('must pass 1: a worker that is killed during a gather is exited at once; each other outcome is its member’s own', async () => {
    // Time stands still: no timeout can be what settles the dead one.
    const { mesh, workers } = await opened(new ManualClock())
    const running = new Set<number>()
    for (const worker of workers.slice(1))
      serveLab(worker, {
        hold: async (_input, { signal }) => {
          running.add(worker.number)
          if (worker.number === 2) throw new Error('not today')
          return aborted(signal)
        },
      })
    const fourth = await mesh.addWorker()
    serveLab(fourth, { hold: () => 'held' })
    await allReady(mesh)
    const gather = mesh.primary.all(lab).hold(1)
    await until(() => running.size === 2, 'they run')
    workers[2]?.kill()
    const receipt = await gather
    expect(statuses(receipt)).toEqual({
      1: 'no-subscriber',
      2: 'failed',
      3: 'exited',
      4: 'applied',
    })
    expect(receipt.values).toEqual(['held'])
    const failed = receipt.outcomes.find(({ status }) => status === 'failed')
    expect(failed).toMatchObject({ error: { cause: { message: 'not today' } } })
    expect(receipt.ok).toBe(false)
  })

  test('a member that takes too long is timed-out; the others’ answers stand', async () => {
    const clock = new ManualClock()
    const { mesh, workers } = await opened(clock)
    let stuck = 0
    for (const worker of workers)
      serveLab(worker, {
        hold: (_input, { signal }) => {
          if (worker.number !== 2) return worker.number
          stuck++
          return aborted(signal)
        },
      })
    await allReady(mesh)
    const gather = mesh.primary.all(lab).hold(1, { timeout: 100 })
    await until(() => stuck === 1 && mesh.primary.pending === 1, 'the others have answered')
    clock.advance(101)
    expect(statuses(await gather)).toEqual({ 1: 'applied', 2: 'timed-out', 3: 'applied' })
  })

  test('must pass 2: a worker that gets ready during a gather is not asked and not waited for', async () => {
    const { mesh, workers } = await opened()
    const asked: number[] = []
    const release: (() => void)[] = []
    const handlers = (number: number) => ({
      hold: () => {
        asked.push(number)
        return new Promise((resolve) => release.push(() => resolve(number)))
      },
    })
    for (const worker of workers) serveLab(worker, handlers(worker.number))
    await allReady(mesh)
    const gather = mesh.primary.all(lab).hold(1)
    await until(() => asked.length === 3, 'they run')
    const late = await mesh.addWorker()
    serveLab(late, handlers(late.number))
    await allReady(mesh)
    for (const run of release) run()
    expect(statuses(await gather)).toEqual({ 1: 'applied', 2: 'applied', 3: 'applied' })
  })

  test('with nobody ready there is nothing to tell', async () => {
    const { mesh } = await opened()
    expect((await mesh.primary.all(lab).greet(ada)).outcomes).toEqual([])
  })

  test('what is wrong with the call itself is thrown, and nobody is asked', async () => {
    const { mesh, workers } = await opened()
    const anything = vi.fn()
    for (const worker of workers) serveLab(worker, { anything })
    await allReady(mesh)
    const all = mesh.primary.all(lab)
    expect(await failureOf(all.greet({ name: 'Ada', times: 0 }))).toMatchObject({
      code: 'INVALID_REQUEST',
      procedure: 'lab.greet',
    })
    expect((await failureOf(all.anything(() => 1))).code).toBe('INVALID_VALUE')
    expect((await failureOf(all.anything(1, { timeout: -1 }))).code).toBe('INVALID_OPTION')
    expect(anything).not.toHaveBeenCalled()
  })

  test('aborting it fails it, and every handler is told', async () => {
    const { mesh, workers } = await opened()
    let running = 0
    let told = 0
    for (const worker of workers)
      serveLab(worker, {
        hold: (_input, { signal }) => {
          running++
          signal.addEventListener('abort', () => told++)
          return aborted(signal)
        },
      })
    await allReady(mesh)
    const leave = controller()
    const gather = failureOf(mesh.primary.all(lab).hold(1, { signal: leave.signal }))
    await until(() => running === 3, 'they run')
    leave.abort()
    expect((await gather).code).toBe('CANCELLED')
    await until(() => told === 3, 'all are told')
  })

  test('a timeout that can not be one is refused, also with nobody to ask', async () => {
    const { mesh } = await opened()
    expect(await failureOf(mesh.primary.all(lab).greet(ada, { timeout: 0 }))).toMatchObject({
      code: 'INVALID_OPTION',
    })
  })

  /** A gather whose input is accepted when the test says so, by workers that tell how much time they have. */
  const openedLate = async () => {
    const clock = new ManualClock()
    const { mesh, workers } = await opened(clock)
    const asked: number[] = []
    const quick = contract('late', { ask: procedure({ input: z.int(), output: z.number() }) })
    for (const worker of workers)
      worker.serve(quick, {
        ask: (n, { deadline }) => {
          asked.push(n)
          return deadline
        },
      })
    await allReady(mesh)
    const verdict = deferred<Awaited<ReturnType<Schema<number>['~standard']['validate']>>>()
    const input: Schema<number> = {
      '~standard': { version: 1, vendor: 'test', validate: () => verdict.promise },
    }
    const late = contract('late', { ask: procedure({ input, output: z.number() }) })
    return { clock, asked, verdict, ask: mesh.primary.all(late).ask, timers: () => clock.timers }
  }

  test('an asynchronous schema has no more time than the gather; what is left is the members’', async () => {
    const { clock, verdict, ask } = await openedLate()
    const gather = ask(1, { timeout: 1_000 })
    clock.advance(300)
    verdict.resolve({ value: 1 })
    expect((await gather).values).toEqual([1_000, 1_000, 1_000])
  })

  test('where the schema does not answer in time, nobody is asked', async () => {
    const { clock, asked, verdict, ask } = await openedLate()
    const gather = failureOf(ask(1, { timeout: 100 }))
    clock.advance(100)
    expect(await gather).toMatchObject({ code: 'DEADLINE_EXCEEDED', procedure: 'late.ask' })
    verdict.resolve({ value: 1 })
    await ask(2)
    expect(asked).toEqual([2, 2, 2])
  })

  test('a gather that is aborted while the schema is asked ends at once, and leaves nothing behind', async () => {
    const { ask, timers } = await openedLate()
    const before = timers()
    const leave = controller()
    const gather = failureOf(ask(1, { signal: leave.signal }))
    leave.abort(new Error('no time'))
    expect(await gather).toMatchObject({ code: 'CANCELLED', cause: { message: 'no time' } })
    expect((await failureOf(ask(1, { signal: leave.signal }))).code).toBe('CANCELLED')
    expect(timers()).toBe(before)
  })

  test('what an asynchronous schema refuses is thrown, and nobody is asked', async () => {
    const { asked, verdict, ask, timers } = await openedLate()
    const before = timers()
    const gather = failureOf(ask(1))
    verdict.resolve({ issues: [{ message: 'not today' }] })
    expect(await gather).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'late.ask' })
    expect([asked, timers()]).toEqual([[], before])
  })
}
