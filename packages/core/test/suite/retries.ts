// Second attempts: which calls get one, and how many of them there may be.

import { contract, procedure } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, everyoneKnows, failureOf, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const work = contract('work', {
  safe: procedure({ input: z.int(), output: z.int(), idempotent: true }),
  once: procedure({ input: z.int(), output: z.int() }),
  narrow: procedure({ input: z.int(), output: z.int(), concurrency: 1, queue: { limit: 1 } }),
})

/** What a peer may try again without having made a single call, and what each call adds to that. */
const RESERVE = 100
const SHARE = 0.2

export function describeRetries(createLinks: CreateLinks): void {
  /** Workers of which the stuck ones never answer; the others say who they are. */
  const opened = async (stuck: readonly number[], options: SceneOptions = {}) => {
    const { mesh, primaryEnds } = await openScene(createLinks, options)
    const runs: { readonly by: number; readonly n: number }[] = []
    const staff = (worker: MeshPeer) => {
      const run = (n: number) => {
        runs.push({ by: worker.number, n })
        return stuck.includes(worker.number) ? new Promise<never>(() => {}) : worker.number
      }
      worker.serve(work, { safe: run, once: run, narrow: run })
    }
    for (const worker of mesh.workers) staff(worker)
    const ran = (by: number) => runs.filter((one) => one.by === by).map(({ n }) => n)
    return { mesh, primaryEnds, runs, ran, staff }
  }

  /** Makes so many calls that all run on worker 1, which then dies while another is ready. */
  const storm = async (calls: number, procedure: 'safe' | 'once') => {
    const scene = await opened([1], { workers: 2 })
    const { mesh, ran } = scene
    const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
    await one.ready()
    const client = mesh.primary.client(work)
    const settled = Promise.allSettled(Array.from({ length: calls }, (_, n) => client[procedure](n)))
    await until(() => ran(1).length === calls, 'all of them run')
    await two.ready()
    one.kill()
    const results = await settled
    const answered = results.filter(({ status }) => status === 'fulfilled')
    const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    return { ...scene, client, answered, lost }
  }

  test.each([
    ['the primary', 0],
    ['a worker', 3],
  ])('an idempotent call of %s is made once more elsewhere when its worker dies', async (_name, number) => {
    const { mesh, runs } = await opened([1], { workers: 2 })
    const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
    await mesh.addWorker()
    await one.ready()
    const caller = [mesh.primary, ...mesh.workers][number] as ClusterPeer
    const call = caller.client(work).safe(7)
    await until(() => runs.length === 1, 'it runs')
    await two.ready()
    await until(() => caller.peer.directory.ready().length === 2, 'its caller knows who is ready')
    one.kill()
    expect(await call).toBe(2)
    expect(runs).toEqual([
      { by: 1, n: 7 },
      { by: 2, n: 7 },
    ])
  })

  test('an idempotent call with a key goes to where the key leads now', async () => {
    const { mesh, runs, ran, staff } = await opened([1], { workers: 1 })
    await allReady(mesh)
    const client = mesh.primary.client(work, { key: 'k' })
    const call = client.safe(1)
    await until(() => runs.length === 1, 'it runs')
    for (let n = 0; n < 2; n++) staff(await mesh.addWorker())
    await allReady(mesh)
    mesh.workers[0]?.kill()
    const by = await call
    await everyoneKnows(mesh)
    expect(await client.safe(2)).toBe(by)
    expect(ran(by)).toEqual([1, 2])
  })

  test('a call that is not idempotent is never run twice, and says that it may have run', async () => {
    const { ran, answered, lost } = await storm(20, 'once')
    expect(answered).toEqual([])
    expect(ran(2)).toEqual([])
    for (const error of lost)
      expect(error).toMatchObject({ code: 'WORKER_LOST', started: 'unknown', procedure: 'work.once' })
  })

  test('a worker that dies under many idempotent calls does not double the load of the others', async () => {
    const calls = 400
    const { ran, answered, lost } = await storm(calls, 'safe')
    const retried = ran(2)
    expect(retried.length).toBeGreaterThanOrEqual(RESERVE)
    expect(retried.length).toBeLessThanOrEqual(RESERVE + calls * SHARE)
    expect(new Set(retried).size).toBe(retried.length)
    expect(answered).toHaveLength(retried.length)
    expect(lost).toHaveLength(calls - retried.length)
    for (const error of lost)
      expect(error).toMatchObject({ code: 'WORKER_LOST', started: 'unknown', procedure: 'work.safe' })
  })

  test('a few idempotent calls are all made again', async () => {
    const { answered, lost } = await storm(RESERVE, 'safe')
    expect(lost).toEqual([])
    expect(answered).toHaveLength(RESERVE)
  })

  test('what never reached a worker goes elsewhere, whatever has been tried again before', async () => {
    const { mesh, primaryEnds, client, ran, staff } = await storm(400, 'safe')
    staff(await mesh.addWorker())
    await allReady(mesh)
    const before = ran(3).length
    const calls = Array.from({ length: 50 }, (_, n) => client.once(1_000 + n))
    // In the same turn: nothing has left the primary yet.
    primaryEnds[1]?.destroy(new Error('cut'))
    expect(new Set(await Promise.all(calls))).toEqual(new Set([3]))
    expect(ran(3).length - before).toBe(50)
    expect(ran(2).filter((n) => n >= 1_000)).toEqual([])
  })

  test('calls that succeed earn what a later storm may spend', async () => {
    const { mesh, client, ran, staff } = await storm(400, 'safe')
    for (let n = 0; n < 100; n++) await client.once(n)
    // From here on nobody answers but worker 4.
    const third = await mesh.addWorker()
    third.serve(work, { safe: () => new Promise(() => {}), once: () => 3, narrow: () => 3 })
    await third.ready()
    const held = Array.from({ length: 50 }, (_, n) =>
      mesh.primary.client(work, { key: `key ${n}` }).safe(n),
    )
    const settled = Promise.allSettled(held)
    await until(() => mesh.primary.peer.directory.get(2)?.pending === 0, 'worker 2 has answered')
    const stuck = mesh.primary.pending
    staff(await mesh.addWorker())
    await allReady(mesh)
    third.kill()
    const answered = (await settled).filter(({ status }) => status === 'fulfilled').length
    const retried = answered - (50 - stuck)
    expect(stuck).toBeGreaterThan(10)
    expect(retried).toBeGreaterThan(10)
    expect(retried).toBeLessThanOrEqual((100 + 50) * SHARE + 1)
    expect(ran(4).length + ran(2).length).toBeGreaterThan(0)
  })

  test('calls that no worker has room for are tried elsewhere under the same budget', async () => {
    const { mesh, ran } = await opened([1, 2], { workers: 2 })
    await allReady(mesh)
    const calls = 600
    const client = mesh.primary.client(work)
    const settled = Promise.allSettled(Array.from({ length: calls }, (_, n) => client.narrow(n)))
    await until(() => mesh.primary.pending === 4, 'the rest is refused')
    expect([ran(1), ran(2)].map(({ length }) => length)).toEqual([1, 1])
    for (const worker of mesh.workers) worker.kill()
    const codes = (await settled).map((result) =>
      result.status === 'rejected' ? result.reason.code : 'answered',
    )
    expect(codes.filter((code) => code === 'OVERLOADED')).toHaveLength(calls - 4)
    expect(codes.filter((code) => code === 'WORKER_LOST')).toHaveLength(4)
  })
}
