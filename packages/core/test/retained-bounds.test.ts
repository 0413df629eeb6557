// What the primary keeps of retained topics has bounds.

import { contract, topic } from '@clusterwire/core'
import { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../src/cluster/clock.js'
import type { RetainedLimits } from '../src/cluster/retained.js'
import { Router } from '../src/cluster/router.js'
import { joinOver } from '../src/cluster/uplink.js'
import { Peer } from '../src/peer.js'
import { createLinkPair } from '../src/transports/memory.js'
import { allReady, failureOf, openMesh, until } from './support.js'

const board = contract('board', {
  one: topic(z.any(), { retain: true }),
  two: topic(z.any(), { retain: true }),
  three: topic(z.any(), { retain: true }),
  chat: topic(z.any()),
})

async function open(retained: RetainedLimits) {
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const router = new Router(
    (linkTo, announce) =>
      new Peer({ id: 'primary', number: 0, clock: systemClock, linkTo, announce }),
    { onError, retained },
  )
  const primary = new ClusterPeer(router.peer, onError)
  const [near, far] = createLinkPair()
  router.attach(1, near)
  const hello = { id: 'worker', pid: 1 }
  const peer = await joinOver({ link: far, hello, clock: systemClock, onLost() {} })
  router.setState(1, 'ready')
  const worker = new ClusterPeer(peer, onError)
  /** The value that a newcomer gets, if there is one. */
  const kept = async (name: 'one' | 'two' | 'three') => {
    const got: unknown[] = []
    const stop = primary.subscribe(board[name], (value) => void got.push(value))
    await primary.broadcast(board.chat, 'round trip')
    stop()
    return got
  }
  return { primary, worker, errors, kept }
}

test('beyond the number of topics, a value is refused with an error that names the bound; those that are kept go on', async () => {
  const { primary, worker, errors, kept } = await open({ topics: 2 })
  primary.publish(board.one, 1)
  expect((await worker.broadcast(board.two, 2)).ok).toBe(true)
  expect(() => primary.publish(board.three, 3)).toThrow(/board.three: .* 2 topics have retained/)
  expect((await failureOf(primary.broadcast(board.three, 3))).code).toBe('OVERLOADED')
  const { ok, outcomes } = await worker.broadcast(board.three, 3)
  expect(ok).toBe(false)
  expect(outcomes).toMatchObject([
    { member: { number: 0 }, status: 'failed', error: { code: 'OVERLOADED' } },
  ])
  worker.publish(board.three, 3)
  expect((await worker.broadcast(board.one, 4)).ok).toBe(true)
  expect(errors).toMatchObject([{ code: 'OVERLOADED', procedure: 'board.three' }])
  expect(await Promise.all([kept('one'), kept('two'), kept('three')])).toEqual([[4], [2], []])
})

test('beyond the number of bytes, a value is refused, and the one before it stays; smaller ones make room', async () => {
  const { primary, kept } = await open({ bytes: 1_000 })
  primary.publish(board.one, 'x'.repeat(600))
  expect(() => primary.publish(board.two, 'y'.repeat(600))).toThrow(/may take 1000 bytes/)
  expect(() => primary.publish(board.one, 'z'.repeat(1_000))).toThrow(/may take 1000 bytes/)
  expect(await kept('one')).toEqual(['x'.repeat(600)])
  primary.publish(board.one, 'small')
  primary.publish(board.two, 'y'.repeat(600))
  expect(await kept('two')).toEqual(['y'.repeat(600)])
})

test('who has not read for so long that it was not sent the last values gets them when it reads again; of other topics it has missed some', async () => {
  const mesh = await openMesh({ workers: 2 })
  await allReady(mesh)
  const [publisher, slow] = mesh.workers as [MeshPeer, MeshPeer]
  const got: unknown[] = []
  const listen = (name: 'one' | 'two' | 'chat') =>
    slow.subscribe(board[name], (value, { version, retained }) => {
      if (String(value).length < 10) got.push({ name, value, version, retained })
    })
  for (const name of ['one', 'two', 'chat'] as const) listen(name)
  publisher.publish(board.one, 'a')
  await until(() => got.length === 1, 'the first has come')
  slow.freeze()
  const large = 'x'.repeat(4 * 1024 * 1024)
  // Just more than may wait.
  for (let n = 0; n < 5; n++) publisher.publish(board.chat, large)
  // Behind those.
  await publisher.broadcast(board.three, 'nobody listens')
  await publisher.broadcast(board.one, 'b')
  const { outcomes } = await publisher.broadcast(board.one, 'c')
  expect(outcomes).toMatchObject([{ status: 'no-subscriber' }, { status: 'failed' }])
  publisher.publish(board.two, 'd')
  publisher.publish(board.chat, 'missed')
  slow.thaw()
  await until(() => got.length === 3, 'the last values have come')
  await publisher.broadcast(board.chat, 'heard')
  expect(got).toEqual([
    { name: 'one', value: 'a', version: 1, retained: false },
    { name: 'one', value: 'c', version: 3, retained: true },
    { name: 'two', value: 'd', version: 1, retained: true },
    { name: 'chat', value: 'heard', version: 0, retained: false },
  ])
})
