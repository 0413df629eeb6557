// Subscribers that take longer than values come: what waits, what is dropped, and who never waits.

import type { SubscribeOptions } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { allReady, deferred, failureOf, turn, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

export function describeSlowSubscribers(createLinks: CreateLinks): void {
  /** A worker, and a way to know that all that was published to it has come. */
  const opened = async () => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    await allReady(mesh)
    const worker = mesh.workers[0] as MeshPeer
    const publish = (...numbers: readonly number[]) => {
      for (const n of numbers) mesh.primary.publish(lab.news, { n })
    }
    /** A round trip through a subscriber that is quick. */
    const arrived = async () => {
      const stop = worker.subscribe(lab.gossip, () => {})
      await worker.broadcast(lab.gossip, 1)
      stop()
    }
    /** Who gets the news in vain: nobody, or the worker. */
    const listens = async () => {
      await arrived()
      const { outcomes } = await mesh.primary.broadcast(lab.news, { n: -1 })
      return outcomes.some(({ status }) => status !== 'no-subscriber')
    }
    return { mesh, worker, publish, arrived, listens }
  }

  /** A subscriber that is busy with the first value until it is told otherwise; all that come after it are quick. */
  const busySubscriber = async (options: SubscribeOptions) => {
    const scene = await opened()
    const gate = deferred()
    const got: number[] = []
    const subscription = scene.worker.subscribe(
      lab.news,
      ({ n }) => {
        got.push(n)
        return got.length === 1 ? gate.promise : undefined
      },
      options,
    )
    await scene.arrived()
    scene.publish(1)
    await until(() => got.length === 1, 'it is busy')
    return { ...scene, subscription, got, gate }
  }

  test('an asynchronous subscriber gets one value after another, in order', async () => {
    const { worker, publish, arrived } = await opened()
    const got: number[] = []
    let running = 0
    let most = 0
    const stop = worker.subscribe(lab.news, async ({ n }) => {
      most = Math.max(most, ++running)
      await turn()
      got.push(n)
      running--
    })
    await arrived()
    const numbers = Array.from({ length: 50 }, (_, n) => n)
    publish(...numbers)
    await until(() => got.length === 50, 'all have come')
    expect(got).toEqual(numbers)
    expect(most).toBe(1)
    expect(stop.dropped).toBe(0)
    stop()
  })

  test('a subscriber that fails gets the next value all the same; each failure is reported', async () => {
    const { mesh, worker, publish, arrived } = await opened()
    const got: number[] = []
    const stop = worker.subscribe(lab.news, async ({ n }) => {
      got.push(n)
      await turn()
      // A failure that looks like a value that was dropped is one all the same.
      throw Object.assign(new Error(`bad news ${n}`), { code: 'OVERLOADED' })
    })
    await arrived()
    publish(1, 2, 3)
    await until(() => mesh.errors.length === 3, 'all are reported')
    expect(got).toEqual([1, 2, 3])
    expect(mesh.errors.splice(0)).toMatchObject(
      [1, 2, 3].map((n) => ({ message: `bad news ${n}` })),
    )
    stop()
  })

  test.each([
    [{ limit: 2, overflow: 'drop-oldest' }, [1, 4, 5]],
    [{ limit: 2 }, [1, 4, 5]],
    [{ limit: 2, overflow: 'drop-newest' }, [1, 2, 3]],
  ] as const)(
    'with %j, two values wait and the rest is dropped and counted',
    async (options, kept) => {
      const { subscription, publish, got, gate, arrived, listens } = await busySubscriber(options)
      publish(2, 3, 4, 5)
      await arrived()
      expect(subscription.dropped).toBe(2)
      expect(got).toEqual([1])
      gate.resolve()
      await until(() => got.length === 3, 'what has waited has come')
      expect(got).toEqual(kept)
      publish(6)
      await until(() => got.length === 4, 'it keeps up again')
      expect(subscription.dropped).toBe(2)
      subscription()
      expect(await listens()).toBe(false)
    },
  )

  test('with "disconnect", a subscriber that does not keep up gets no more, and that is reported', async () => {
    const { mesh, publish, got, gate, arrived, listens } = await busySubscriber({
      limit: 2,
      overflow: 'disconnect',
    })
    publish(2, 3)
    await arrived()
    expect(mesh.errors).toEqual([])
    publish(4, 5)
    await until(() => mesh.errors.length > 0, 'it is reported')
    expect(mesh.errors.splice(0)).toMatchObject([{ code: 'OVERLOADED', procedure: 'lab.news' }])
    expect(await listens()).toBe(false)
    gate.resolve()
    await arrived()
    expect(got).toEqual([1])
  })

  test('a publisher never waits for a subscriber that is stuck, and nobody else does', async () => {
    const { mesh, worker, subscription, publish, gate, arrived } = await busySubscriber({
      limit: 10,
    })
    const got: number[] = []
    const quick = worker.subscribe(lab.news, ({ n }) => void got.push(n))
    await arrived()
    publish(...Array.from({ length: 2_000 }, (_, n) => n))
    await until(() => got.length === 2_000, 'the quick one has got them all')
    expect(subscription.dropped).toBe(1_990)
    expect(quick.dropped).toBe(0)
    expect((await mesh.primary.broadcast(lab.gossip, 1)).outcomes).toHaveLength(1)
    gate.resolve()
    subscription()
    quick()
  })

  test.each([
    ['drop-newest', 'newest'],
    ['drop-oldest', 'oldest'],
    ['disconnect', 'all'],
  ] as const)(
    'a broadcast whose value is dropped by "%s" has failed, with OVERLOADED',
    async (overflow, lost) => {
      const { mesh, subscription, gate, arrived } = await busySubscriber({ limit: 1, overflow })
      const older = mesh.primary.broadcast(lab.news, { n: 2 })
      await arrived()
      const newer = mesh.primary.broadcast(lab.news, { n: 3 })
      const failed = async (broadcast: typeof older) => {
        const { ok, outcomes } = await broadcast
        expect(ok).toBe(false)
        expect(outcomes).toMatchObject([
          { status: 'failed', error: { code: 'OVERLOADED', procedure: 'lab.news' } },
        ])
      }
      if (lost !== 'newest') await failed(older)
      if (lost !== 'oldest') await failed(newer)
      gate.resolve()
      if (lost === 'newest') expect((await older).ok).toBe(true)
      if (lost === 'oldest') expect((await newer).ok).toBe(true)
      subscription()
      mesh.errors.splice(0)
    },
  )

  test('a broadcast is over when its value’s turn has come and gone', async () => {
    const { mesh, subscription, got, gate, arrived } = await busySubscriber({})
    let over = false
    const broadcast = mesh.primary.broadcast(lab.news, { n: 2 }).finally(() => {
      over = true
    })
    await arrived()
    expect(over).toBe(false)
    gate.resolve()
    expect((await broadcast).ok).toBe(true)
    expect(got).toEqual([1, 2])
    subscription()
  })

  test('a subscription that is ended while values wait gets none of them, and holds up no broadcast', async () => {
    const { mesh, subscription, got, gate, arrived } = await busySubscriber({})
    const waiting = mesh.primary.broadcast(lab.news, { n: 2 })
    await arrived()
    subscription()
    await waiting
    gate.resolve()
    await arrived()
    expect(got).toEqual([1])
  })

  test('a loop gets values in order; leaving it ends the subscription', async () => {
    const { worker, publish, arrived, listens } = await opened()
    const values = worker.subscribe(lab.news)
    await arrived()
    publish(...Array.from({ length: 20 }, (_, n) => n))
    const got: number[] = []
    for await (const { n } of values) {
      got.push(n)
      await turn()
      if (n === 9) break
    }
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(await listens()).toBe(false)
    expect(await values.next()).toEqual({ value: undefined, done: true })
  })

  test('a loop that throws ends its subscription', async () => {
    const { worker, publish, listens } = await opened()
    const looping = (async () => {
      for await (const { n } of worker.subscribe(lab.news)) throw new Error(`bad news ${n}`)
    })()
    const failure = failureOf(looping)
    await until(listens, 'it listens')
    publish(1)
    expect((await failure).message).toBe('bad news -1')
    expect(await listens()).toBe(false)
  })

  test('a loop that does not keep up loses what its policy says, and counts it', async () => {
    const { worker, publish, arrived } = await opened()
    const values = worker.subscribe(lab.news, { limit: 2, overflow: 'drop-newest' })
    await arrived()
    publish(1, 2, 3, 4, 5)
    await until(() => values.dropped === 2, 'the last two are dropped')
    const got: number[] = []
    for await (const { n } of values) {
      got.push(n)
      if (got.length === 3) break
    }
    expect(got).toEqual([1, 2, 3])
  })

  test('with "disconnect", a loop that does not keep up throws OVERLOADED', async () => {
    const { worker, publish, arrived, listens } = await opened()
    const values = worker.subscribe(lab.news, { limit: 1, overflow: 'disconnect' })
    await arrived()
    publish(1, 2, 3)
    await until(() => values.dropped > 0, 'it is disconnected')
    const looping = async () => {
      for await (const { n } of values) expect(n).toBe(1)
    }
    expect(await failureOf(looping())).toMatchObject({ code: 'OVERLOADED', procedure: 'lab.news' })
    expect(await listens()).toBe(false)
    expect(await values.next()).toEqual({ value: undefined, done: true })
  })
}
