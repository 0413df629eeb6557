// Bugs that were filed against others like us, where no other file has a test for them. The numbers are those of the list of such bugs.

import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import { allReady, deferred, failureOf, ManualClock, turn, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const KB = 1024
const MB = 1024 * KB

async function* endless() {
  for (;;) {
    await turn()
    yield new Uint8Array(KB)
  }
}

export function describeMustPass(createLinks: CreateLinks): void {
  const opened = async (options: SceneOptions = {}) => {
    const scene = await openScene(createLinks, options)
    const [one, two] = scene.mesh.workers as [MeshPeer, MeshPeer]
    return { ...scene, one, two }
  }

  test('must pass 6: whatever is sent to a worker that is closing, nothing throws, and every call settles', async () => {
    const { mesh, primaryEnds, one, two } = await opened()
    for (const worker of [one, two])
      serveLab(worker, { hold: (_input, { signal }) => aborted(signal) })
    await allReady(mesh)
    const stop = one.subscribe(lab.gossip, () => {})
    await mesh.primary.broadcast(lab.gossip, 0)
    const settled: Promise<unknown>[] = []
    const sendAll = (peer: ClusterPeer) => {
      const client = peer.client(lab, { to: 1 })
      settled.push(
        failureOf(client.hold(1)),
        failureOf(client.hold(new Uint8Array(MB))),
        failureOf(client.pieces({ count: 10, size: MB }).next()),
        failureOf(client.ingest(undefined, { upload: [new Uint8Array(MB)] })),
        peer.broadcast(lab.gossip, new Uint8Array(MB)),
      )
      peer.publish(lab.gossip, 1)
    }
    for (const peer of [mesh.primary, two]) sendAll(peer)
    one.kill()
    for (const peer of [mesh.primary, two]) sendAll(peer)
    await turn()
    for (const peer of [mesh.primary, two]) sendAll(peer)
    primaryEnds[0]?.destroy(new Error('cut'))
    for (const peer of [mesh.primary, two]) sendAll(peer)
    const codes = (await Promise.all(settled)).map((result) => (result as { code?: string }).code)
    for (const code of codes)
      expect([undefined, 'WORKER_LOST', 'NO_WORKER', 'UNIMPLEMENTED']).toContain(code)
    expect((await two.client(lab, { to: 2 }).greet({ name: 'Ada', times: 1 })).by).toBe(2)
    stop()
  })

  test('must pass 10: a worker that is stuck delays nobody else’s answers; its own calls end by their deadline', async () => {
    const clock = new ManualClock()
    const { mesh, one, two } = await opened({ clock })
    let stuck = 0
    serveLab(one, {
      anything: () => {
        stuck++
        return new Promise(() => {})
      },
    })
    serveLab(two)
    await allReady(mesh)
    const own = Array.from({ length: 20 }, (_, n) =>
      failureOf(mesh.primary.client(lab, { to: 1 }).anything(n, { timeout: 100 })),
    )
    await until(() => stuck === 20, 'it is stuck')
    const any = mesh.primary.client(lab)
    for (let n = 0; n < 50; n++) expect(await any.anything(n)).toBe(n)
    expect(stuck).toBe(20)
    clock.advance(101)
    for (const { code } of await Promise.all(own)) expect(code).toBe('DEADLINE_EXCEEDED')
    expect(await mesh.primary.client(lab, { to: 1 }).greet({ name: 'A', times: 1 })).toBeDefined()
  })

  test('must pass 12: calls and publications arrive in the order of their sender, whatever their sizes', async () => {
    const { mesh, one, two } = await opened()
    const got = new Map<number, number[]>([0, 1].map((number) => [number, []]))
    const heard = new Map<number, number[]>([0, 1].map((number) => [number, []]))
    const note = (list: Map<number, number[]>, from: number, [n]: unknown[]) =>
      list.get(from)?.push(n as number)
    serveLab(two, { anything: (value, { from }) => void note(got, from.number, value) })
    const stop = two.subscribe(lab.gossip, (value, { from }) => {
      note(heard, from.number, value)
    })
    await allReady(mesh)
    await two.broadcast(lab.news, { n: 0 })
    const numbers = Array.from({ length: 120 }, (_, n) => n)
    const calls = numbers.flatMap((n) => {
      const value = [n, new Uint8Array(n % 9 === 0 ? 300 * KB : (n * 7919) % 5_000)]
      return [mesh.primary, one].map((peer) => {
        peer.publish(lab.gossip, value)
        return peer.client(lab, { to: 2 }).anything(value)
      })
    })
    await Promise.all(calls)
    await until(() => [...heard.values()].every(({ length }) => length === 120), 'all have come')
    for (const list of [...got.values(), ...heard.values()]) expect(list).toEqual(numbers)
    stop()
  })

  test('must pass 17: an upload of 100 MB on the same link keeps no small call waiting', async () => {
    const { mesh, one } = await opened({ workers: 1 })
    const running = deferred()
    let received = 0
    serveLab(one, {
      async ingest(_input, { upload }) {
        for await (const piece of upload) {
          received += piece.length
          running.resolve()
        }
        return received
      },
    })
    await allReady(mesh)
    const client = mesh.primary.client(lab)
    const piece = new Uint8Array(64 * KB)
    function* pieces() {
      for (let n = 0; n < (100 * MB) / piece.length; n++) yield piece
    }
    let uploaded = false
    const uploading = client.ingest(undefined, { upload: pieces() }).then((size) => {
      uploaded = true
      return size
    })
    await running.promise
    const overtaken: number[] = []
    for (let n = 0; n < 20; n++) {
      const before = received
      await client.anything('x'.repeat(KB))
      overtaken.push(received - before)
    }
    expect(uploaded).toBe(false)
    // What passes while a call is on its way is what was under way before it.
    expect(overtaken.sort((a, b) => a - b)[10]).toBeLessThan(MB)
    expect(await uploading).toBe(100 * MB)
  })

  test('must pass 18: closing may be done twice, and at once; all that was pending settles', async () => {
    const { mesh, one, two } = await opened()
    for (const worker of [one, two]) serveLab(worker)
    await allReady(mesh)
    const calls = [
      failureOf(mesh.primary.client(lab).hold(1)),
      failureOf(one.client(lab, { to: 2 }).hold(1)),
      failureOf(mesh.primary.client(lab, { to: 2 }).ingest(undefined, { upload: endless() })),
    ]
    await until(() => one.peer.serving + two.peer.serving === 3, 'they run')
    await Promise.all([mesh.close(), mesh.close()])
    await mesh.close()
    for (const { code } of await Promise.all(calls))
      expect(['PEER_CLOSED', 'WORKER_LOST']).toContain(code)
    expect((await failureOf(mesh.primary.client(lab).hold(1))).code).toBe('PEER_CLOSED')
    for (const { pending } of [mesh.primary, one, two]) expect(pending).toBe(0)
  })
}
