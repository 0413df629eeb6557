// Bugs that were filed against others like us, and that are about members which come, go, stand still or break the rules. The numbers are
// those of the list of such bugs; what else is on it has the test where its subject is: search for "must pass".

import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import { allReady, failureOf, ManualClock, turn, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const MB = 1024 * 1024

async function* endless() {
  for (;;) {
    await turn()
    yield new Uint8Array(1024)
  }
}

export function describeMustPassMembers(createLinks: CreateLinks): void {
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

  test('must pass 14: a malformed frame ends the link of its worker, and nothing else', async () => {
    const { mesh, workerEnds, one, two } = await opened()
    for (const worker of [one, two]) serveLab(worker)
    await allReady(mesh)
    const calls = [1, 2].map((to) => mesh.primary.client(lab, { to }).hold(to))
    const [lost, kept] = calls.map((call) => failureOf(call))
    await until(() => one.peer.serving + two.peer.serving === 2, 'they run')
    const [end] = workerEnds
    end?.begin({ type: 99, flags: 0, ref: 0, to: 0, from: 1, id: 0, arg: 0 })
    end?.commit()
    expect(await lost).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
    await until(() => one.peer.closed, 'its link has ended')
    expect(await mesh.primary.client(lab).greet({ name: 'Ada', times: 1 })).toMatchObject({ by: 2 })
    expect(mesh.primary.pending).toBe(1)
    two.kill()
    expect((await kept)?.code).toBe('WORKER_LOST')
  })

  test('must pass 16: when the primary is gone, all that its workers wait for and do is ended', async () => {
    // Time stands still: no deadline can be what ends this.
    const { mesh, primaryEnds, one, two } = await opened({ clock: new ManualClock() })
    const told: unknown[] = []
    for (const peer of [mesh.primary, one, two])
      serveLab(peer, {
        hold: (_input, { signal }) => aborted(signal).catch(({ code }) => told.push(code)),
      })
    await allReady(mesh)
    const calls = [
      failureOf(mesh.primary.client(lab, { to: 1 }).hold(1)),
      failureOf(one.client(lab, { to: 2 }).hold(1)),
      failureOf(two.client(lab, { to: 'primary' }).hold(1)),
    ]
    const serving = () => [mesh.primary, one, two].map(({ peer }) => peer.serving)
    await until(() => serving().every((count) => count === 1), 'they run')
    for (const end of primaryEnds) end.destroy(new Error('the primary was killed'))
    for (const { code } of await Promise.all(calls)) expect(code).toBe('WORKER_LOST')
    await until(() => told.length === 3, 'every handler is told')
    expect(told).toEqual(Array(3).fill('CANCELLED'))
    for (const worker of [one, two]) {
      const error = await failureOf(
        worker.client(lab, { to: 'primary' }).greet({ name: 'A', times: 1 }),
      )
      expect(error.code).toBe('PEER_CLOSED')
    }
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
