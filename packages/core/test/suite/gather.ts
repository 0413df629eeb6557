// One call to every ready worker, and what became of each.

import type { Receipt } from '@clusterwire/core'
import { expect, test, vi } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import { allReady, controller, failureOf, ManualClock, until } from '../support.js'
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
}
