// What a broadcast inherits from the request that is being handled where it is made.

import { contract, procedure, type Receipt } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import {
  allReady,
  controller,
  deferred,
  type Failed,
  failureOf,
  ManualClock,
  until,
} from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const shop = contract('shop', { change: procedure({ output: z.any() }) })

export function describeBroadcastScope(createLinks: CreateLinks): void {
  /** A worker that broadcasts when it is called, and another whose subscriber never gets done. */
  const opened = async (change: (worker: MeshPeer, tell: () => Promise<Receipt>) => unknown) => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { clock, workers: 2 })
    const [worker, listener] = mesh.workers as [MeshPeer, MeshPeer]
    const gate = deferred()
    let running = 0
    const stop = listener.subscribe(lab.news, () => {
      running++
      return gate.promise
    })
    worker.client(lab) // From its first client on, a peer's handlers hand on what they came with.
    worker.serve(shop, { change: () => change(worker, () => worker.broadcast(lab.news, { n: 1 })) })
    await allReady(mesh)
    await listener.broadcast(lab.gossip, 'the subscription has got to the primary')
    const change_ = mesh.primary.client(shop, { to: 1 }).change
    const runs = () => until(() => running > 0, 'the subscriber runs')
    const end = () => {
      gate.resolve()
      stop()
    }
    return { mesh, clock, worker, change: change_, runs, end }
  }
  const statuses = ({ outcomes }: Receipt) =>
    Object.fromEntries(outcomes.map(({ member, status }) => [member.number, status]))

  test('it has no more time than the request', async () => {
    const told = deferred<Receipt>()
    const { clock, change, runs, end } = await opened(async (_worker, tell) =>
      told.resolve(await tell()),
    )
    const call = failureOf(change(undefined, { timeout: 100 }))
    await runs()
    clock.advance(101)
    expect(statuses(await told.promise)).toEqual({ 1: 'no-subscriber', 2: 'timed-out' })
    expect((await call).code).toBe('DEADLINE_EXCEEDED')
    end()
  })

  test('its own timeout holds where that is shorter', async () => {
    const { clock, change, runs, end } = await opened(async (worker) =>
      statuses(await worker.broadcast(lab.news, { n: 1 }, { timeout: 50 })),
    )
    const call = change(undefined, { timeout: 1_000 })
    await runs()
    clock.advance(51)
    expect(await call).toEqual({ 1: 'no-subscriber', 2: 'timed-out' })
    end()
  })

  test('it is over, with CANCELLED, when the handler’s caller has gone', async () => {
    const failed = deferred<Failed>()
    const { worker, change, runs, end } = await opened(async (_worker, tell) =>
      failed.resolve(await failureOf(tell())),
    )
    const leave = controller()
    const call = failureOf(change(undefined, { signal: leave.signal }))
    await runs()
    leave.abort()
    expect((await call).code).toBe('CANCELLED')
    expect(await failed.promise).toMatchObject({
      code: 'CANCELLED',
      procedure: 'lab.news',
      cause: { code: 'CANCELLED', procedure: 'shop.change' },
    })
    expect(worker.pending).toBe(0)
    end()
  })

  test('a handler whose caller has gone broadcasts no more', async () => {
    const failed = deferred<Failed>()
    const [entered, gate] = [deferred(), deferred()]
    const { mesh, change, end } = await opened(async (_worker, tell) => {
      entered.resolve()
      await gate.promise
      failed.resolve(await failureOf(tell()))
    })
    const leave = controller()
    const call = failureOf(change(undefined, { signal: leave.signal }))
    await entered.promise
    leave.abort()
    expect((await call).code).toBe('CANCELLED')
    await until(() => mesh.workers.every(({ peer }) => peer.serving === 0), 'it is told')
    gate.resolve()
    expect(await failed.promise).toMatchObject({ code: 'CANCELLED', procedure: 'lab.news' })
    end()
  })

  test('a handler whose time is up broadcasts no more', async () => {
    const failed = deferred<Failed>()
    const { clock, change, end } = await opened(async (_worker, tell) => {
      clock.advance(101)
      failed.resolve(await failureOf(tell()))
    })
    expect((await failureOf(change(undefined, { timeout: 100 }))).code).toBe('DEADLINE_EXCEEDED')
    const { code, procedure: what } = await failed.promise
    expect(what).toBe('lab.news')
    expect(['DEADLINE_EXCEEDED', 'CANCELLED']).toContain(code)
    end()
  })

  test('one that a handler leaves running after its answer is on its own', async () => {
    const left = deferred<Promise<Receipt>>()
    const { clock, change, runs, end } = await opened((_worker, tell) => {
      left.resolve(tell())
      return 'answered'
    })
    const leave = controller()
    expect(await change(undefined, { signal: leave.signal, timeout: 60_000 })).toBe('answered')
    await runs()
    leave.abort()
    clock.advance(1)
    end()
    expect(statuses(await await left.promise)).toEqual({ 1: 'no-subscriber', 2: 'applied' })
  })
}
