// Bugs that were filed against others like us, and that are about calls, their answers and the frames that carry them. The numbers are
// those of the list of such bugs; what else is on it has the test where its subject is: search for "must pass".

import { contract, procedure } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { FrameType } from '../../src/frames.js'
import { lab } from '../fixtures/lab.js'
import { serveLab } from '../fixtures/workbench.js'
import { allReady, deferred, failureOf, ManualClock, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const KB = 1024
const MB = 1024 * KB

const counter = contract('counter', {
  /** One after the other. */
  serve: procedure({ input: z.string(), output: z.number(), concurrency: 1 }),
  /** When its caller stops waiting. */
  deadline: procedure({ output: z.number() }),
})

export function describeMustPassCalls(createLinks: CreateLinks): void {
  const opened = async (options: SceneOptions = {}) => {
    const scene = await openScene(createLinks, options)
    const [one, two] = scene.mesh.workers as [MeshPeer, MeshPeer]
    return { ...scene, one, two }
  }

  test('must pass 4: answers that come late, twice or unasked are dropped and counted', async () => {
    const { mesh, workerEnds, one, two } = await opened()
    const gates = new Map<string, ReturnType<typeof deferred<string>>>()
    serveLab(two, {
      hold: (name) => {
        const gate = deferred<string>()
        gates.set(name, gate)
        return gate.promise
      },
    })
    await allReady(mesh)
    const answer = (to: number, id: number) => {
      workerEnds[1]?.begin({ type: FrameType.reply, flags: 0, ref: 0, to, from: 2, id, arg: 0 })
      workerEnds[1]?.commit()
    }
    for (const caller of [mesh.primary, one]) {
      const { counters } = caller.peer
      const client = caller.client(lab, { to: 2 })
      for (let n = 0; n < 5; n++) await client.anything(n)
      const leaves = new AbortController()
      const held = client.hold('held')
      const left = failureOf(client.hold('left', { signal: leaves.signal }))
      await until(() => gates.size === 2, 'both run')
      // The answer leaves before the news that nobody waits for it can get there.
      gates.get('left')?.resolve('too late')
      leaves.abort()
      expect((await left).code).toBe('CANCELLED')
      await until(() => counters.late === 1, 'the late answer is counted')
      for (const id of [2, 3, 3]) answer(caller.number, id)
      await until(() => counters.late === 4, 'the second answers are counted')
      // From the worker at the other end of its own link this would be the link's end.
      if (caller === one) answer(1, 1e9)
      await until(() => counters.violations === (caller === one ? 1 : 0), 'it is counted')
      expect(caller.pending).toBe(1)
      gates.get('held')?.resolve('its own')
      expect(await held).toBe('its own')
      expect(counters.late).toBe(4)
      gates.clear()
    }
  })

  test('must pass 9: a call’s time runs while it waits its turn, and what is left is all that its handler’s calls have', async () => {
    const clock = new ManualClock()
    const { mesh, one, two } = await opened({ clock })
    const next = one.client(counter, { to: 2 })
    const served: string[] = []
    const gate = deferred()
    one.serve(counter, {
      serve: async (name) => {
        served.push(name)
        if (name === 'first') await gate.promise
        return next.deadline()
      },
      deadline: () => 0,
    })
    two.serve(counter, { serve: () => 0, deadline: (_input, { deadline }) => deadline })
    await allReady(mesh)
    const client = mesh.primary.client(counter, { to: 1 })
    const first = client.serve('first', { timeout: 5_000 })
    const late = failureOf(client.serve('late', { timeout: 50 }))
    const second = client.serve('second', { timeout: 1_000 })
    await until(() => one.peer.serving === 3, 'they have arrived')
    clock.advance(300)
    expect((await late).code).toBe('DEADLINE_EXCEEDED')
    gate.resolve()
    expect(await Promise.all([first, second])).toEqual([5_000, 1_000])
    expect(served).toEqual(['first', 'second'])
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
}
