// How many calls of one procedure a worker runs at once, and what becomes of those beyond.

import { contract, procedure } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  allReady,
  controller,
  type Deferred,
  deferred,
  failureOf,
  ManualClock,
  turn,
  until,
} from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const oven = contract('oven', {
  bake: procedure({
    input: z.int(),
    output: z.object({ n: z.int(), by: z.int() }),
    concurrency: 2,
    queue: { limit: 3, timeout: 100 },
  }),
  /** These two have no limit. */
  idle: procedure(),
  who: procedure({ output: z.int() }),
})

const nested = contract('nested', {
  dive: procedure({ input: z.int(), output: z.int(), concurrency: 1, queue: { limit: 1 } }),
})

export function describeConcurrency(createLinks: CreateLinks): void {
  /** Workers that bake until they are told that it is done. */
  const opened = async (options: SceneOptions) => {
    const { mesh } = await openScene(createLinks, options)
    const runs: { readonly by: number; readonly n: number; readonly gate: Deferred }[] = []
    for (const worker of mesh.workers)
      worker.serve(oven, {
        bake: async (n) => {
          const gate = deferred()
          runs.push({ by: worker.number, n, gate })
          await gate.promise
          return { n, by: worker.number }
        },
        idle() {},
        who: () => worker.number,
      })
    await allReady(mesh)
    const ran = (by: number) => runs.filter((run) => run.by === by).map(({ n }) => n)
    const finish = (n: number) => runs.find((run) => run.n === n)?.gate.resolve()
    const worker = (number: number) => mesh.primary.client(oven, { to: number })
    /** All that was sent to the worker before has arrived there. */
    const arrived = async (number: number) => {
      await worker(number).idle()
      await turn()
    }
    return { mesh, runs, ran, finish, worker, arrived }
  }

  test('each worker runs so many at once; the others wait, and run in the order in which they came', async () => {
    const { ran, finish, worker, arrived } = await opened({ workers: 2 })
    const first = [1, 2, 3, 4, 5].map((n) => worker(1).bake(n))
    const second = [11, 12, 13].map((n) => worker(2).bake(n))
    await arrived(1)
    await arrived(2)
    expect([ran(1), ran(2)]).toEqual([
      [1, 2],
      [11, 12],
    ])
    for (const [n, next] of [
      [2, 3],
      [1, 4],
      [4, 5],
    ] as const) {
      finish(n)
      await until(() => ran(1).includes(next), `${next} runs`)
    }
    expect([ran(1), ran(2)]).toEqual([
      [1, 2, 3, 4, 5],
      [11, 12],
    ])
    for (const n of [3, 5, 11, 12]) finish(n)
    await until(() => ran(2).length === 3, 'the last one runs')
    finish(13)
    expect((await Promise.all([...first, ...second])).map(({ n }) => n)).toEqual([
      1, 2, 3, 4, 5, 11, 12, 13,
    ])
  })

  test('beyond the queue’s limit a call is OVERLOADED, and says when to try again; it has not run', async () => {
    const { runs, ran, finish, worker } = await opened({ workers: 1 })
    const calls = [1, 2, 3, 4, 5].map((n) => worker(1).bake(n))
    expect(await failureOf(worker(1).bake(6))).toMatchObject({
      code: 'OVERLOADED',
      procedure: 'oven.bake',
      retryAfter: 100,
    })
    for (const n of [1, 2, 3, 4, 5]) {
      await until(() => ran(1).includes(n), `${n} runs`)
      finish(n)
    }
    await Promise.all(calls)
    expect(runs).toHaveLength(5)
  })

  test('a call that one worker has no room for goes to another', async () => {
    const { mesh, runs, ran, worker } = await opened({ workers: 3 })
    const baking: Promise<unknown>[] = []
    const fill = (number: number, count: number) => {
      for (let n = 0; n < count; n++) baking.push(worker(number).bake(n))
    }
    fill(2, 5)
    await until(() => ran(2).length > 0, 'worker 2 is busy')
    // Worker 1 knows nothing of what the others have to do.
    const client = mesh.workers[0]?.client(oven) as ReturnType<typeof worker>
    baking.push(client.bake(100))
    await until(() => runs.some(({ n }) => n === 100), 'it runs')
    expect(runs.find(({ n }) => n === 100)?.by).toBe(3)
    fill(3, 4)
    expect(await failureOf(client.bake(200))).toMatchObject({ code: 'OVERLOADED' })
    expect(ran(1)).toEqual([])
    await finishAll(runs, baking)
    expect(runs.map(({ n }) => n)).not.toContain(200)
  })

  test('a call with a key stays at its place, even when there is no room', async () => {
    const { mesh, runs, worker } = await opened({ workers: 2 })
    const client = mesh.primary.client(oven, { key: 'rye' })
    const place = await client.who()
    const baking = [1, 2, 3, 4, 5].map((n) => worker(place).bake(n))
    expect(await failureOf(client.bake(6))).toMatchObject({ code: 'OVERLOADED' })
    await finishAll(runs, baking)
    expect(runs.every(({ by }) => by === place)).toBe(true)
  })

  test('a call that names its worker goes to no other', async () => {
    const { runs, ran, worker } = await opened({ workers: 2 })
    const baking = [1, 2, 3, 4, 5].map((n) => worker(1).bake(n))
    expect((await failureOf(worker(1).bake(6))).code).toBe('OVERLOADED')
    await finishAll(runs, baking)
    expect(ran(2)).toEqual([])
  })

  test('a call that waits longer than the queue allows is OVERLOADED, and does not run', async () => {
    const clock = new ManualClock()
    const { runs, ran, worker, arrived } = await opened({ workers: 1, clock })
    const baking = [1, 2].map((n) => worker(1).bake(n))
    const late = failureOf(worker(1).bake(3))
    await arrived(1)
    clock.advance(60)
    const early = worker(1).bake(4)
    await arrived(1)
    clock.advance(41)
    expect(await late).toMatchObject({ code: 'OVERLOADED', procedure: 'oven.bake' })
    await finishAll(runs, [...baking, early])
    expect(ran(1)).toEqual([1, 2, 4])
  })

  test('a call that is cancelled while it waits leaves the queue without having run', async () => {
    const { runs, ran, worker, arrived } = await opened({ workers: 1 })
    const leaving = controller()
    const baking = [1, 2].map((n) => worker(1).bake(n))
    const left = [3, 4, 5].map((n) => failureOf(worker(1).bake(n, { signal: leaving.signal })))
    await arrived(1)
    leaving.abort()
    for (const { code } of await Promise.all(left)) expect(code).toBe('CANCELLED')
    await arrived(1)
    // There is room for three again.
    baking.push(...[6, 7, 8].map((n) => worker(1).bake(n)))
    await finishAll(runs, baking)
    expect(ran(1)).toEqual([1, 2, 6, 7, 8])
  })

  test('a handler that goes on after its caller has left keeps its place until it is done', async () => {
    const { runs, ran, finish, worker, arrived } = await opened({ workers: 1 })
    const leaving = controller()
    const left = failureOf(worker(1).bake(1, { signal: leaving.signal }))
    const baking = [2, 3].map((n) => worker(1).bake(n))
    await arrived(1)
    leaving.abort()
    await left
    await arrived(1)
    expect(ran(1)).toEqual([1, 2])
    finish(1)
    await finishAll(runs, baking)
    expect(ran(1)).toEqual([1, 2, 3])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('burnt')
      },
    ],
    ['rejects', () => Promise.reject(new Error('burnt'))],
    ['answers what does not fit', () => ({}) as never],
  ])('a handler that %s leaves its place to the next', async (_name, bake) => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    mesh.workers[0]?.serve(oven, { bake, idle() {}, who: () => 1 })
    await allReady(mesh)
    const { bake: call } = mesh.primary.client(oven)
    for (let n = 0; n < 2; n++) {
      const errors = await Promise.all([1, 2, 3, 4, 5].map((one) => failureOf(call(one))))
      for (const { code } of errors) expect(code).not.toBe('OVERLOADED')
    }
  })

  /** Two workers whose handlers call each other, or themselves. */
  const divers = async (next: (self: MeshPeer) => number) => {
    const { mesh } = await openScene(createLinks)
    let runs = 0
    for (const worker of mesh.workers)
      worker.serve(nested, {
        dive: async (depth) => {
          runs++
          if (depth === 0) return 0
          return 1 + (await worker.client(nested, { to: next(worker) }).dive(depth - 1))
        },
      })
    await allReady(mesh)
    return { dive: mesh.primary.client(nested, { to: 1 }).dive, runs: () => runs }
  }
  const circles = [
    ['itself', (self: MeshPeer) => self.number],
    ['a worker that calls it back', (self: MeshPeer) => 3 - self.number],
  ] as const

  test('C21: a handler may call itself, or a worker that calls it back, though all places are taken', async () => {
    for (const [, next] of circles) {
      const { dive } = await divers(next)
      expect(await dive(5)).toBe(5)
      expect(await dive(5)).toBe(5)
    }
  })

  test.each(circles)(
    'a handler that calls %s for ever is stopped after 16',
    async (_name, next) => {
      const { dive, runs } = await divers(next)
      expect(await dive(16)).toBe(16)
      const before = runs()
      const error = await failureOf(dive(Number.MAX_SAFE_INTEGER))
      expect(error.message).toMatch(/nested\.dive: this would be call 17 .* call each other/)
      expect(runs() - before).toBe(17)
    },
  )
}

/** Lets whatever runs be done, until all are answered. */
async function finishAll(
  runs: readonly { readonly gate: Deferred }[],
  calls: readonly Promise<unknown>[],
): Promise<void> {
  let answered = false
  const all = Promise.all(calls).finally(() => {
    answered = true
  })
  await until(() => {
    for (const { gate } of runs) gate.resolve()
    return answered
  }, 'all are answered')
  await all
}
