// Calls while no worker is ready: they wait, so many and so long as their procedure allows.

import { contract, procedure } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, controller, failureOf, ManualClock, turn, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const desk = contract('desk', {
  ask: procedure({ input: z.int(), output: z.int(), queue: { limit: 3, timeout: 100 } }),
  other: procedure({ input: z.int(), output: z.int(), queue: { limit: 3, timeout: 100 } }),
})

export function describeWaiting(createLinks: CreateLinks): void {
  /** Two workers that are not ready, and time that stands still. */
  const opened = async () => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { clock })
    const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
    return { mesh, clock, one, two }
  }
  const serve = (peer: ClusterPeer, asked: number[] = []) => {
    const answer = (n: number) => {
      asked.push(n)
      return n * 10
    }
    peer.serve(desk, { ask: answer, other: answer })
  }

  test.each([0, 1])(
    'must pass 7: calls of peer %i wait, and are answered once and in order when a worker gets ready',
    async (number) => {
      const { mesh, two } = await opened()
      const asked: number[] = []
      serve(two, asked)
      const caller = [mesh.primary, ...mesh.workers][number] as ClusterPeer
      const { ask } = caller.client(desk)
      const calls = [1, 2, 3].map((n) => ask(n))
      expect(caller.pending).toBe(3)
      await two.ready()
      expect(await Promise.all(calls)).toEqual([10, 20, 30])
      expect(asked).toEqual([1, 2, 3])
    },
  )

  test('a call that has waited as long as its procedure allows is NO_WORKER, and not before', async () => {
    const { mesh, clock } = await opened()
    const call = failureOf(mesh.primary.client(desk).ask(1))
    clock.advance(99)
    await turn()
    expect(mesh.primary.pending).toBe(1)
    clock.advance(2)
    expect(await call).toMatchObject({ code: 'NO_WORKER', procedure: 'desk.ask' })
  })

  test('a call does not wait longer than it may take', async () => {
    const { mesh, clock } = await opened()
    const call = failureOf(mesh.primary.client(desk).ask(1, { timeout: 20 }))
    clock.advance(21)
    expect((await call).procedure).toBe('desk.ask')
  })

  test('the time that a call has waited is taken off what its handler has', async () => {
    const { mesh, clock, one } = await opened()
    const deadlines: number[] = []
    const answer = (n: number, { deadline }: { readonly deadline: number }) => {
      deadlines.push(deadline)
      return n
    }
    one.serve(desk, { ask: answer, other: answer })
    const call = mesh.primary.client(desk).ask(1, { timeout: 1_000 })
    clock.advance(60)
    await one.ready()
    await call
    expect(deadlines).toEqual([1_000])
  })

  test('beyond the limit a call is OVERLOADED at once, and says when to try again', async () => {
    const { mesh, clock, one } = await opened()
    const { ask, other } = mesh.primary.client(desk)
    const waiting = [1, 2, 3].map((n) => failureOf(ask(n)))
    expect(await failureOf(ask(4))).toMatchObject({
      code: 'OVERLOADED',
      procedure: 'desk.ask',
      retryAfter: 100,
    })
    // Neither another procedure nor another peer has less room for that.
    const elsewhere = [failureOf(other(1)), failureOf(one.client(desk).ask(1))]
    await turn()
    expect([mesh.primary.pending, one.pending]).toEqual([4, 1])
    clock.advance(101)
    for (const { code } of await Promise.all([...waiting, ...elsewhere]))
      expect(code).toBe('NO_WORKER')
  })

  test('a call that is aborted while it waits is CANCELLED, frees its place and never runs', async () => {
    const { mesh, one } = await opened()
    const asked: number[] = []
    serve(one, asked)
    const { ask } = mesh.primary.client(desk)
    const leaving = controller()
    const left = failureOf(ask(1, { signal: leaving.signal }))
    const waiting = [ask(2), ask(3)]
    leaving.abort(new Error('no time'))
    expect(await left).toMatchObject({ code: 'CANCELLED', cause: { message: 'no time' } })
    const fourth = ask(4)
    await one.ready()
    expect(await Promise.all([...waiting, fourth])).toEqual([20, 30, 40])
    expect(asked).toEqual([2, 3, 4])
  })

  test('ready workers that do not serve it: UNIMPLEMENTED at once, for a call that waits too', async () => {
    const { mesh, one } = await opened()
    const waiting = failureOf(mesh.primary.client(desk).ask(1))
    await one.ready()
    expect(await waiting).toMatchObject({ code: 'UNIMPLEMENTED', procedure: 'desk.ask' })
    const error = await failureOf(mesh.primary.client(desk).ask(2))
    expect(error).toMatchObject({ code: 'UNIMPLEMENTED', procedure: 'desk.ask' })
  })

  test('a call waits for the worker that serves it, while others are ready that do not', async () => {
    const { mesh, one, two } = await opened()
    serve(two)
    await until(
      () => mesh.primary.peer.directory.get(2)?.procedures.has('desk.ask') === true,
      'the primary has heard what worker 2 serves',
    )
    await one.ready()
    const call = mesh.primary.client(desk).ask(1)
    await two.ready()
    expect(await call).toBe(10)
  })

  test('a call that waits when its peer closes is PEER_CLOSED', async () => {
    const { one } = await opened()
    const call = failureOf(one.client(desk).ask(1))
    one.kill()
    expect((await call).code).toBe('PEER_CLOSED')
  })

  test('a call waits again when the last ready worker has died', async () => {
    const { mesh, one, two } = await opened()
    for (const worker of [one, two]) serve(worker)
    await one.ready()
    one.kill()
    await until(() => mesh.primary.peer.directory.ready().length === 0, 'it is known to be gone')
    const call = mesh.primary.client(desk).ask(1)
    await allReady(mesh)
    expect(await call).toBe(10)
  })
}
