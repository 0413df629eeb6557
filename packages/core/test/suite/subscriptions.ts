// Subscriptions: what they may be given, and what those get that are iterated.

import type { ClusterPeer } from '@clusterwire/core/cluster'
import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { allReady } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

export function describeSubscriptions(createLinks: CreateLinks): void {
  const opened = async () => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    await allReady(mesh)
    return { mesh, primary: mesh.primary, worker: mesh.workers[0] as ClusterPeer }
  }
  /** What the peer has announced has got to the primary, and what was published there has got here. */
  const synced = async (peer: ClusterPeer) => {
    const stop = peer.subscribe(lab.gossip, () => {})
    await peer.broadcast(lab.gossip, 'are you there?')
    stop()
  }

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

  test('a loop ends when its peer does', async () => {
    const { mesh, primary, worker } = await opened()
    const ends = [primary, worker].map(async (peer) => {
      for await (const _ of peer.subscribe(lab.news));
    })
    await mesh.close()
    await Promise.all(ends)
  })
}
