// Topics that keep their last value for those who join later.

import { contract, type Delivery, topic } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, turn, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const value = z.object({ n: z.int() })
const board = contract('board', {
  price: topic(value, { retain: true }),
  rate: topic(value, { retain: true }),
  chat: topic(value),
})

type Got = readonly [n: number, delivery: Delivery]

export function describeRetained(createLinks: CreateLinks): void {
  const opened = async (workers = 2) => {
    const { mesh } = await openScene(createLinks, { workers })
    await allReady(mesh)
    return mesh
  }
  /** Collects what comes. `arrived` resolves when all that was sent here has come. */
  const listen = (peer: ClusterPeer, to: 'price' | 'rate' | 'chat' = 'price') => {
    const got: Got[] = []
    const stop = peer.subscribe(board[to], ({ n }, delivery) => void got.push([n, delivery]))
    return { got, stop, arrived: () => roundTrip(peer) }
  }
  /** A broadcast’s receipt comes behind whatever the primary has sent before. */
  const roundTrip = async (peer: ClusterPeer) => {
    await peer.broadcast(board.chat, { n: 0 })
    await turn()
  }

  test.each([0, 3])(
    'peer %i, which listens later, gets the last value, with its version and its publisher',
    async (number) => {
      const mesh = await opened()
      for (const n of [1, 2, 3]) await mesh.workers[0]?.broadcast(board.price, { n })
      await mesh.addWorker()
      await allReady(mesh)
      const peer = [mesh.primary, ...mesh.workers][number] as ClusterPeer
      const { got, stop, arrived } = listen(peer)
      await arrived()
      const from = { number: 1, id: mesh.workers[0]?.id }
      expect(got).toEqual([[3, { from, version: 3, retained: true }]])
      stop()
    },
  )

  test('a worker gets it before it is ready: it needs it to get ready', async () => {
    const mesh = await opened()
    mesh.primary.publish(board.price, { n: 7 })
    const booting = await mesh.addWorker()
    const { got, stop } = listen(booting)
    await until(() => got.length === 1, 'it has come')
    expect(got[0]?.[0]).toBe(7)
    stop()
  })

  test('versions count the values of all publishers, for each topic by itself', async () => {
    const mesh = await opened()
    const peers = [mesh.primary, ...mesh.workers]
    const { got, stop } = listen(mesh.workers[1] as MeshPeer)
    await roundTrip(mesh.workers[1] as MeshPeer)
    for (const [n, peer] of peers.entries()) {
      await peer.broadcast(board.price, { n })
      await peer.broadcast(board.rate, { n: 10 * n })
    }
    peers[0]?.publish(board.price, { n: 3 })
    await until(() => got.length === 4, 'all have come')
    expect(got.map(([n, { version, retained }]) => [n, version, retained])).toEqual([
      [0, 1, false],
      [1, 2, false],
      [2, 3, false],
      [3, 4, false],
    ])
    const late = listen(mesh.workers[0] as MeshPeer, 'rate')
    await late.arrived()
    expect(late.got.map(([n, { version }]) => [n, version])).toEqual([[20, 3]])
    stop()
    late.stop()
  })

  test('whoever joins while values are published misses none from then on, and gets none twice', async () => {
    const mesh = await opened()
    const latecomers: ReturnType<typeof listen>[] = []
    for (let n = 1; n <= 200; n++) {
      mesh.primary.publish(board.price, { n })
      if (n % 50 === 10) latecomers.push(listen(mesh.workers[n % 2 === 0 ? 1 : 0] as MeshPeer))
      if (n % 7 === 0) await turn()
    }
    await until(() => latecomers.every(({ got }) => got.at(-1)?.[0] === 200), 'the last has come')
    for (const { got, stop } of latecomers) {
      const versions = got.map(([, { version }]) => version)
      const [begin = 0] = versions
      expect(versions).toEqual(Array.from({ length: 201 - begin }, (_, at) => begin + at))
      expect(got.map(([n]) => n)).toEqual(versions)
      expect(got.slice(1).some(([, { retained }]) => retained)).toBe(false)
      stop()
    }
  })

  test('a second subscriber in the same peer gets it, too, and the first does not get it again', async () => {
    const mesh = await opened()
    const worker = mesh.workers[0] as MeshPeer
    const first = listen(worker)
    await first.arrived()
    await mesh.primary.broadcast(board.price, { n: 5 })
    const second = listen(worker)
    await second.arrived()
    const from = { number: 0, id: mesh.primary.id }
    expect(first.got).toEqual([[5, { from, version: 1, retained: false }]])
    expect(second.got).toEqual([[5, { from, version: 1, retained: true }]])
    first.stop()
    second.stop()
  })

  test('a peer that left and comes back gets what is last now', async () => {
    const mesh = await opened()
    const worker = mesh.workers[0] as MeshPeer
    await mesh.primary.broadcast(board.price, { n: 1 })
    const before = listen(worker)
    await before.arrived()
    before.stop()
    await mesh.primary.broadcast(board.price, { n: 2 })
    const after = listen(worker)
    await after.arrived()
    expect([before.got, after.got].map((got) => got.map(([n]) => n))).toEqual([[1], [2]])
    after.stop()
  })

  test('a loop gets it as its first value', async () => {
    const mesh = await opened()
    await mesh.primary.broadcast(board.price, { n: 1 })
    const got: number[] = []
    for await (const { n } of mesh.workers[0]?.subscribe(board.price) ?? []) {
      got.push(n)
      if (n === 2) break
      mesh.primary.publish(board.price, { n: 2 })
    }
    expect(got).toEqual([1, 2])
  })

  test('it outlives its publisher', async () => {
    const mesh = await opened()
    await mesh.workers[0]?.broadcast(board.price, { n: 9 })
    mesh.workers[0]?.kill()
    await until(() => mesh.primary.peer.directory.get(1) === undefined, 'it is known to be gone')
    const { got, stop, arrived } = listen(mesh.workers[1] as MeshPeer)
    await arrived()
    expect(got).toMatchObject([[9, { version: 1, retained: true, from: { number: 1 } }]])
    stop()
  })

  test('a value that was refused is not kept', async () => {
    const mesh = await opened()
    await mesh.primary.broadcast(board.price, { n: 1 })
    expect(() => mesh.primary.publish(board.price, { n: 'two' as unknown as number })).toThrow()
    const { got, stop, arrived } = listen(mesh.workers[0] as MeshPeer)
    await arrived()
    expect(got).toMatchObject([[1, { version: 1 }]])
    stop()
  })

  test('a subscriber that ends its subscription in its first call is not called again', async () => {
    const mesh = await opened()
    const worker = mesh.workers[0] as MeshPeer
    await mesh.primary.broadcast(board.price, { n: 1 })
    const first = listen(worker)
    await first.arrived()
    const got: number[] = []
    const stop = worker.subscribe(board.price, ({ n }) => {
      got.push(n)
      stop()
    })
    await mesh.primary.broadcast(board.price, { n: 2 })
    expect(got).toEqual([1])
    expect(first.got.map(([n]) => n)).toEqual([1, 2])
    first.stop()
  })

  test('a topic that is not retained keeps nothing, and counts nothing', async () => {
    const mesh = await opened()
    const worker = mesh.workers[0] as MeshPeer
    await mesh.primary.broadcast(board.chat, { n: 1 })
    const { got, stop } = listen(worker, 'chat')
    const second = listen(worker, 'chat')
    await worker.broadcast(board.rate, { n: 1 })
    await mesh.primary.broadcast(board.chat, { n: 2 })
    await until(() => got.length > 0, 'it has come')
    expect([got, second.got]).toMatchObject(Array(2).fill([[2, { version: 0, retained: false }]]))
    stop()
    second.stop()
  })
}
