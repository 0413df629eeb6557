// Calls that carry a key: the same key leads to the same worker, whoever asks.

import { contract, procedure, stream } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, everyoneKnows } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const places = contract('places', {
  /** Answers with the worker's number. */
  find: procedure({ output: z.int() }),
  /** The same, as a stream. */
  watch: stream({ output: z.int() }),
})

const KEYS = Array.from({ length: 1000 }, (_, n) => `user:${n}`)

export function describeKeyed(createLinks: CreateLinks): void {
  const serve = (worker: MeshPeer) =>
    worker.serve(places, {
      find: () => worker.number,
      async *watch() {
        yield worker.number
      },
    })
  const staffed = async (workers: number) => {
    const { mesh } = await openScene(createLinks, { workers })
    for (const worker of mesh.workers) serve(worker)
    await allReady(mesh)
    return mesh
  }
  /** Where each key leads, as this peer sees it. */
  const findAll = (peer: ClusterPeer, keys: readonly (string | number)[] = KEYS) =>
    Promise.all(keys.map((key) => peer.client(places, { key }).find()))
  const count = (found: readonly number[], number: number) =>
    found.filter((one) => one === number).length

  test('a key leads to the same worker from the primary and from every worker, from that one too', async () => {
    const mesh = await staffed(3)
    const keys = [...KEYS.slice(0, 60), '', 'grüße', 0, 7, -1.5]
    const found = await findAll(mesh.primary, keys)
    expect(new Set(found)).toEqual(new Set([1, 2, 3]))
    for (const peer of mesh.workers) expect(await findAll(peer, keys)).toEqual(found)
  })

  test('a stream goes where the calls with its key go', async () => {
    const mesh = await staffed(3)
    for (const key of KEYS.slice(0, 20)) {
      const client = mesh.primary.client(places, { key })
      expect((await client.watch().next()).value).toBe(await client.find())
    }
  })

  test('keys spread over all workers', async () => {
    const mesh = await staffed(4)
    const found = await findAll(mesh.primary)
    // 250 each, were they dealt out; chance alone stays within 60 of that.
    for (const { number } of mesh.workers) {
      expect(count(found, number)).toBeGreaterThan(190)
      expect(count(found, number)).toBeLessThan(310)
    }
  })

  test('a worker that is added takes its share of the keys; none moves between the others', async () => {
    const mesh = await staffed(4)
    const before = await findAll(mesh.primary)
    serve(await mesh.addWorker())
    await allReady(mesh)
    const after = await findAll(mesh.primary)
    const moved = KEYS.flatMap((_key, n) => (after[n] === before[n] ? [] : [after[n]]))
    expect(new Set(moved)).toEqual(new Set([5]))
    expect(moved.length).toBeGreaterThan(140)
    expect(moved.length).toBeLessThan(260)
  })

  test('a worker that dies gives up its keys to all the others; theirs stay', async () => {
    const mesh = await staffed(4)
    const before = await findAll(mesh.primary)
    mesh.workers[1]?.kill()
    await everyoneKnows(mesh)
    const after = await findAll(mesh.primary)
    const orphans = after.filter((_number, n) => before[n] === 2)
    expect(new Set(orphans)).toEqual(new Set([1, 3, 4]))
    for (const [n, number] of before.entries()) if (number !== 2) expect(after[n]).toBe(number)
  })

  test('a key leads only to workers that serve the procedure', async () => {
    const { mesh } = await openScene(createLinks, { workers: 3 })
    for (const worker of mesh.workers.slice(1)) serve(worker)
    await allReady(mesh)
    const found = await findAll(mesh.primary, KEYS.slice(0, 60))
    expect(new Set(found)).toEqual(new Set([2, 3]))
  })

  test('a key that can not be one, or that comes with a worker’s number, is refused', async () => {
    const { primary } = await staffed(1)
    const wrong = [
      { key: 'a', to: 1 },
      { key: 'a', to: 'primary' as const },
      { key: null },
      { key: {} },
    ]
    for (const target of wrong)
      expect(() => primary.client(places, target as { key: string })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      )
  })
}
