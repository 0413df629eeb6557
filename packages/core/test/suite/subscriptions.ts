// Subscribers that are slower than their publishers, those that come late, and those that iterate.

import { contract, topic } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { allReady, deferred, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const state = contract('state', {
  mode: topic(z.object({ mode: z.string() }), { retain: true }),
  event: topic(z.object({ n: z.int() })),
})

export function describeSubscriptions(createLinks: CreateLinks): void {
  const opened = async (workers = 1) => {
    const { mesh } = await openScene(createLinks, { workers })
    await allReady(mesh)
    return { mesh, primary: mesh.primary, worker: mesh.workers[0] as ClusterPeer }
  }
  /** What the peer has announced has got to the primary, and what was published there has got here. */
  const synced = async (peer: ClusterPeer) => {
    const stop = peer.subscribe(lab.gossip, () => {})
    await peer.broadcast(lab.gossip, 'are you there?')
    stop()
  }

  /** A subscriber that takes its first value and then no more until it is let go. */
  const busy = async (worker: ClusterPeer, options: Parameters<ClusterPeer['subscribe']>[1]) => {
    const got: number[] = []
    const gate = deferred()
    const subscriber = ({ n }: { readonly n: number }) => {
      got.push(n)
      return n === 0 ? gate.promise : undefined
    }
    const subscription = worker.subscribe(lab.news, subscriber, options as object)
    await synced(worker)
    return { got, subscription, letGo: () => gate.resolve() }
  }

  test('a subscriber gets one value after the other, each when it is done with the one before', async () => {
    const { primary, worker } = await opened()
    const { got, subscription, letGo } = await busy(worker, {})
    for (const n of [0, 1, 2, 3]) primary.publish(lab.news, { n })
    await synced(worker)
    expect(got).toEqual([0])
    letGo()
    await primary.broadcast(lab.news, { n: 4 })
    expect(got).toEqual([0, 1, 2, 3, 4])
    expect(subscription.dropped).toBe(0)
    subscription()
  })

  test.each([
    ['the oldest', 'drop-oldest', [0, 4, 5]],
    ['the oldest, unless told otherwise,', undefined, [0, 4, 5]],
    ['the newest', 'drop-newest', [0, 1, 2]],
  ] as const)('of what does not fit into its queue, %s is dropped, and counted', async (...row) => {
    const [, overflow, expected] = row
    const { primary, worker } = await opened()
    const { got, subscription, letGo } = await busy(worker, { limit: 2, overflow })
    for (const n of [0, 1, 2, 3, 4, 5]) primary.publish(lab.news, { n })
    await synced(worker)
    expect(subscription.dropped).toBe(3)
    letGo()
    await until(() => got.length === 3, 'the rest has come')
    expect(got).toEqual(expected)
    subscription()
  })

  test('a broadcast that is dropped says so, and one that waits is applied in its turn', async () => {
    const { primary, worker } = await opened()
    const { got, subscription, letGo } = await busy(worker, { limit: 1, overflow: 'drop-newest' })
    primary.publish(lab.news, { n: 0 })
    const waits = primary.broadcast(lab.news, { n: 1 })
    const dropped = await primary.broadcast(lab.news, { n: 2 })
    expect(dropped.outcomes).toMatchObject([{ status: 'failed', error: { code: 'OVERLOADED' } }])
    letGo()
    expect((await waits).outcomes).toMatchObject([{ status: 'applied' }])
    expect(got).toEqual([0, 1])
    subscription()
  })

  test('a subscriber that is to be disconnected gets nothing more; the one beside it gets all', async () => {
    const { mesh, primary, worker } = await opened()
    const { got, subscription, letGo } = await busy(worker, { limit: 1, overflow: 'disconnect' })
    const beside: number[] = []
    const stop = worker.subscribe(lab.news, ({ n }) => beside.push(n))
    for (const n of [0, 1, 2, 3]) primary.publish(lab.news, { n })
    await until(() => mesh.errors.length === 1, 'it is reported')
    expect(mesh.errors.splice(0)).toMatchObject([{ code: 'OVERLOADED', procedure: 'lab.news' }])
    letGo()
    await primary.broadcast(lab.news, { n: 4 })
    expect(got).toEqual([0])
    expect(beside).toEqual([0, 1, 2, 3, 4])
    subscription()
    stop()
  })

  test.each([
    [{ limit: 0 }, /limit.*0/],
    [{ limit: 1.5 }, /limit.*1\.5/],
    [{ overflow: 'explode' }, /overflow.*drop-oldest.*explode/],
  ])('the options %j are refused', async (options, says) => {
    const { worker } = await opened()
    for (const subscribe of [
      () => worker.subscribe(lab.news, () => {}, options as object),
      () => worker.subscribe(lab.news, options as object),
    ])
      expect(subscribe).toThrow(says)
  })

  test('a subscription can be iterated; leaving the loop ends it', async () => {
    const { primary, worker } = await opened()
    const got: number[] = []
    const values = worker.subscribe(lab.news)
    await synced(worker)
    const reading = (async () => {
      for await (const { n } of values) {
        got.push(n)
        if (n === 3) break
      }
    })()
    for (const n of [1, 2, 3, 4]) primary.publish(lab.news, { n })
    await reading
    expect(got).toEqual([1, 2, 3])
    await synced(worker)
    const { outcomes } = await primary.broadcast(lab.news, { n: 5 })
    expect(outcomes).toMatchObject([{ status: 'no-subscriber' }])
  })

  test('several values may be asked for at once', async () => {
    const { primary, worker } = await opened()
    const values = worker.subscribe(lab.news)
    await synced(worker)
    const asked = [values.next(), values.next(), values.next()]
    for (const n of [1, 2, 3]) primary.publish(lab.news, { n })
    expect((await Promise.all(asked)).map(({ value }) => value?.n)).toEqual([1, 2, 3])
    const open = [values.next(), values.next()]
    await values.return?.()
    expect((await Promise.all(open)).map(({ done }) => done)).toEqual([true, true])
  })

  test('to one that iterates, a broadcast is applied when its loop has taken it', async () => {
    const { primary, worker } = await opened()
    const values = worker.subscribe(lab.news)
    await synced(worker)
    let applied = false
    const broadcast = primary.broadcast(lab.news, { n: 1 }).then((receipt) => {
      applied = true
      return receipt
    })
    await synced(worker)
    expect(applied).toBe(false)
    expect((await values.next()).value).toEqual({ n: 1 })
    expect((await broadcast).ok).toBe(true)
    await values.return?.()
  })

  test('a loop that is too slow, and is to be disconnected, ends with OVERLOADED', async () => {
    const { mesh, primary, worker } = await opened()
    const values = worker.subscribe(lab.news, { limit: 1, overflow: 'disconnect' })
    await synced(worker)
    for (const n of [1, 2, 3]) primary.publish(lab.news, { n })
    await until(() => values.dropped > 0, 'it is disconnected')
    const drain = async () => {
      for await (const _ of values);
    }
    await expect(drain()).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(mesh.errors).toEqual([])
  })

  test('a loop ends when its peer does', async () => {
    const { mesh, primary, worker } = await opened()
    const ends = [primary, worker].map(async (peer) => {
      for await (const _ of peer.subscribe(lab.news));
    })
    await mesh.close()
    await Promise.all(ends)
  })

  test('who subscribes later gets the last value of a retained topic, and how many there were', async () => {
    const { mesh, primary, worker } = await opened()
    const got: [who: string, mode: string, version: number, retained: boolean][] = []
    const listen = (peer: ClusterPeer, who: string) =>
      peer.subscribe(state.mode, ({ mode }, { version, retained }) =>
        got.push([who, mode, version, retained]),
      )
    const stops = [listen(worker, 'first')]
    await synced(worker)
    for (const mode of ['red', 'green', 'blue']) primary.publish(state.mode, { mode })
    await until(() => got.length === 3, 'the first has them all')
    expect(got.splice(0)).toEqual([
      ['first', 'red', 1, false],
      ['first', 'green', 2, false],
      ['first', 'blue', 3, false],
    ])
    const late = await mesh.addWorker()
    for (const [peer, who] of [
      [worker, 'beside'],
      [late, 'late'],
      [primary, 'primary'],
    ] as const) {
      stops.push(listen(peer, who))
      await until(() => got.length === 1, 'it has the last')
      expect(got.splice(0)).toEqual([[who, 'blue', 3, true]])
    }
    await late.broadcast(state.mode, { mode: 'white' })
    await until(() => got.length === 4, 'everybody has the next')
    expect(
      new Set(got.map(([, mode, version, retained]) => `${mode} ${version} ${retained}`)),
    ).toEqual(new Set(['white 4 false']))
    for (const stop of stops) stop()
  })

  test('of a topic that is not retained, who subscribes later gets nothing', async () => {
    const { primary, worker } = await opened()
    primary.publish(state.event, { n: 1 })
    const got: number[] = []
    const stop = worker.subscribe(state.event, ({ n }) => got.push(n))
    await synced(worker)
    await primary.broadcast(state.event, { n: 2 })
    expect(got).toEqual([2])
    stop()
  })
}
