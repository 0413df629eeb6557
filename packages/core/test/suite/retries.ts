// Second attempts: which calls get one, and how many of them there may be.

import { contract, procedure } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, everyoneKnows, failureOf, ManualClock, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const work = contract('work', {
  safe: procedure({ input: z.int(), output: z.int(), idempotent: true }),
  once: procedure({ input: z.int(), output: z.int() }),
})

/** What a peer may try again without having made a single call, and what each call adds to that. */
const RESERVE = 100
const SHARE = 0.2

export function describeRetries(createLinks: CreateLinks): void {
  /** Workers that serve nothing yet. Those that are stuck will never answer; the others say who they are. */
  const opened = async (stuck: readonly number[], workers: number) => {
    const { mesh, primaryEnds } = await openScene(createLinks, { workers })
    const runs: { readonly by: number; readonly n: number }[] = []
    const staff = (worker: MeshPeer) => {
      const run = (n: number) => {
        runs.push({ by: worker.number, n })
        return stuck.includes(worker.number) ? new Promise<never>(() => {}) : worker.number
      }
      worker.serve(work, { safe: run, once: run })
    }
    const ran = (by: number) => runs.filter((one) => one.by === by).map(({ n }) => n)
    return { mesh, primaryEnds, runs, ran, staff }
  }

  /** Makes so many calls that all run on one worker, the only one that serves it; it dies when the next one is ready. */
  const storm = async (
    { mesh, ran, staff }: Awaited<ReturnType<typeof opened>>,
    calls: number,
    procedure: 'safe' | 'once' = 'safe',
  ) => {
    const dying = await mesh.addWorker()
    staff(dying)
    await allReady(mesh)
    const client = mesh.primary.client(work)
    const settled = Promise.allSettled(
      Array.from({ length: calls }, (_, n) => client[procedure](n)),
    )
    await until(() => ran(dying.number).length === calls, 'all of them run')
    const next = await mesh.addWorker()
    staff(next)
    await next.ready()
    dying.kill()
    const results = await settled
    const answered = results.filter(({ status }) => status === 'fulfilled')
    const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    return { client, next, retried: ran(next.number), answered: answered.length, lost }
  }

  test.each([
    ['the primary', 0],
    ['a worker', 3],
  ])(
    'an idempotent call of %s is made once more elsewhere when its worker dies',
    async (_name, number) => {
      const { mesh, runs, staff } = await opened([1], 3)
      const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
      for (const worker of [one, two]) staff(worker)
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
    },
  )

  test('an idempotent call with a key goes to where the key leads now', async () => {
    const { mesh, runs, ran, staff } = await opened([1], 1)
    staff(mesh.workers[0] as MeshPeer)
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
    const { retried, answered, lost } = await storm(await opened([2], 1), 20, 'once')
    expect([retried, answered, lost.length]).toEqual([[], 0, 20])
    for (const error of lost)
      expect(error).toMatchObject({
        code: 'WORKER_LOST',
        started: 'unknown',
        procedure: 'work.once',
      })
  })

  test('as many idempotent calls as the reserve allows are all made again', async () => {
    const { answered, lost } = await storm(await opened([2], 1), RESERVE)
    expect([answered, lost]).toEqual([RESERVE, []])
  })

  test('a worker that dies under more does not double the load of the others', async () => {
    const calls = 400
    const { retried, answered, lost } = await storm(await opened([2], 1), calls)
    expect(retried.length).toBeGreaterThanOrEqual(RESERVE)
    expect(retried.length).toBeLessThanOrEqual(RESERVE + calls * SHARE)
    expect(new Set(retried).size).toBe(retried.length)
    expect([answered, lost.length]).toEqual([retried.length, calls - retried.length])
    for (const error of lost)
      expect(error).toMatchObject({
        code: 'WORKER_LOST',
        started: 'unknown',
        procedure: 'work.safe',
      })
  })

  test('calls that succeed earn what the next storm may spend', async () => {
    const scene = await opened([2, 4], 1)
    const { client, next } = await storm(scene, 400)
    for (let n = 0; n < 100; n++) await client.once(n)
    next.kill()
    await everyoneKnows(scene.mesh)
    const { retried } = await storm(scene, 50)
    // The last storm may have left less than one.
    expect(retried.length).toBeGreaterThanOrEqual(100 * SHARE)
    expect(retried.length).toBeLessThanOrEqual((100 + 50) * SHARE + 1)
  })

  test('what never reached its worker goes elsewhere, whatever has been tried again before', async () => {
    const scene = await opened([2], 1)
    const { client, next, lost } = await storm(scene, 400)
    expect(lost).not.toEqual([])
    const third = await scene.mesh.addWorker()
    scene.staff(third)
    await allReady(scene.mesh)
    const calls = Array.from({ length: 20 }, (_, n) => client.once(1_000 + n))
    // In the same turn: so few have not left the primary yet.
    scene.primaryEnds[next.number - 1]?.destroy(new Error('cut'))
    expect(await Promise.all(calls)).toEqual(Array(20).fill(third.number))
    expect(new Set(scene.ran(third.number)).size).toBe(20)
  })

  test('what may be tried again waits for another worker when there is none', async () => {
    const { mesh, primaryEnds, ran, staff } = await opened([1], 1)
    staff(mesh.workers[0] as MeshPeer)
    await allReady(mesh)
    const client = mesh.primary.client(work)
    const safe = client.safe(1)
    await until(() => ran(1).length === 1, 'it runs')
    // This one is still here when the link ends.
    const once = client.once(2)
    primaryEnds[0]?.destroy(new Error('cut'))
    await until(() => mesh.primary.peer.waiting.size === 2, 'both wait')
    const next = await mesh.addWorker()
    staff(next)
    await allReady(mesh)
    expect(await Promise.all([safe, once])).toEqual([2, 2])
  })

  test('what another worker has sent when the news of a death is on its way goes elsewhere, too', async () => {
    const { mesh, primaryEnds, ran, staff } = await opened([], 3)
    const [, second, caller] = mesh.workers as [MeshPeer, MeshPeer, MeshPeer]
    for (const worker of [mesh.workers[0] as MeshPeer, second]) staff(worker)
    await allReady(mesh)
    const { once } = caller.client(work)
    const calls = Array.from({ length: 10 }, (_, n) => once(n))
    // The primary knows before it has read what the caller has written; the caller does not know yet.
    primaryEnds[0]?.destroy(new Error('cut'))
    expect(await Promise.all(calls)).toEqual(Array(10).fill(2))
    expect(ran(1)).toEqual([])
  })

  test('when no other worker comes in time, the error says what became of the first attempt', async () => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { workers: 1, clock })
    const [worker] = mesh.workers
    let running = false
    const run = () => {
      running = true
      return new Promise<never>(() => {})
    }
    worker?.serve(work, { safe: run, once: run })
    await allReady(mesh)
    const lost = failureOf(mesh.primary.client(work).safe(1))
    await until(() => running, 'it runs')
    worker?.kill()
    await until(() => mesh.primary.peer.waiting.size === 1, 'it waits for another')
    clock.advance(5_001)
    expect(await lost).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
  })

  test('calls that no worker has room for are tried elsewhere under the same budget', async () => {
    const { mesh } = await openScene(createLinks, { workers: 2 })
    let attempts = 0
    const counted = contract('narrow', {
      pass: procedure({
        input: z.int().refine(() => ++attempts > 0),
        concurrency: 1,
        queue: { limit: 1 },
      }),
    })
    const narrow = contract('narrow', { pass: procedure({ input: z.int() }) })
    for (const worker of mesh.workers) worker.serve(counted, { pass: () => new Promise(() => {}) })
    await allReady(mesh)
    const calls = 600
    const { pass } = mesh.primary.client(narrow)
    const failures = Promise.all(Array.from({ length: calls }, (_, n) => failureOf(pass(n))))
    await until(() => mesh.primary.pending === 4, 'the others are refused')
    expect(attempts - calls).toBeGreaterThanOrEqual(RESERVE)
    expect(attempts - calls).toBeLessThanOrEqual(RESERVE + calls * SHARE)
    for (const worker of mesh.workers) worker.kill()
    const codes = (await failures).map(({ code }) => code)
    expect(codes.filter((code) => code === 'OVERLOADED')).toHaveLength(calls - 4)
  })
}
