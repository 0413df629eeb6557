// Publications: who gets them, in which order, and what a broadcast's receipt says.

import type { Receipt } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { expect, test, vi } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { allReady, controller, deferred, failureOf, ManualClock, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

export function describeTopics(createLinks: CreateLinks): void {
  const opened = async (options: SceneOptions = {}) => {
    const scene = await openScene(createLinks, options)
    await allReady(scene.mesh)
    const peers: ClusterPeer[] = [scene.mesh.primary, ...scene.mesh.workers]
    return { ...scene, peers }
  }

  /** Subscribes peers, waits until the primary knows, and ends the subscriptions with the function returned. */
  const listen = async (
    peers: readonly ClusterPeer[],
    subscriber: (n: number, peer: ClusterPeer, from: number) => unknown,
  ) => {
    const stops = peers.map((peer) =>
      peer.subscribe(lab.news, ({ n }, { from }) => subscriber(n, peer, from.number)),
    )
    // A publication over the same link comes behind the subscription.
    await Promise.all(peers.map((peer) => peer.broadcast(lab.gossip, 'are you there?')))
    return () => {
      for (const stop of stops) stop()
    }
  }
  const statuses = (receipt: Receipt) =>
    Object.fromEntries(receipt.outcomes.map(({ member, status }) => [member.number, status]))

  test.each([0, 1])(
    'what peer %i publishes reaches all who listen, itself too, once and in order',
    async (publisher) => {
      const { peers } = await opened()
      const got = new Map(peers.map(({ number }) => [number, [] as number[]]))
      const stop = await listen(peers, (n, peer) => got.get(peer.number)?.push(n))
      const numbers = Array.from({ length: 200 }, (_, n) => n)
      for (const n of numbers) peers[publisher]?.publish(lab.news, { n })
      await until(() => [...got.values()].every(({ length }) => length >= 200), 'all have come')
      for (const list of got.values()) expect(list).toEqual(numbers)
      stop()
    },
  )

  test('the order of each publisher holds while several publish', async () => {
    const { peers } = await opened({ workers: 3 })
    const got: [from: number, n: number][] = []
    const stop = await listen(peers.slice(3), (n, _peer, from) => got.push([from, n]))
    for (let n = 0; n < 100; n++) for (const peer of peers) peer.publish(lab.news, { n })
    await until(() => got.length === 400, 'all have come')
    for (const { number } of peers)
      expect(got.filter(([from]) => from === number).map(([, n]) => n)).toEqual(
        Array.from({ length: 100 }, (_, n) => n),
      )
    stop()
  })

  test('publish waits for nobody, and a subscriber that fails is reported where it runs', async () => {
    const { mesh, peers } = await opened()
    const stop = await listen(peers.slice(1), async () => {
      throw new Error('no news is good news')
    })
    mesh.primary.publish(lab.news, { n: 1 })
    await until(() => mesh.errors.length === 2, 'both are reported')
    for (const error of mesh.errors.splice(0))
      expect(error).toMatchObject({ message: 'no news is good news' })
    stop()
  })

  test('one subscriber that throws does not keep the value from the next', async () => {
    const { mesh, peers } = await opened({ workers: 1 })
    const got: number[] = []
    const stops = [
      await listen(peers.slice(1), () => {
        throw new Error('first')
      }),
      await listen(peers.slice(1), (n) => got.push(n)),
    ]
    const receipt = await mesh.primary.broadcast(lab.news, { n: 7 })
    expect(got).toEqual([7])
    expect(receipt.ok).toBe(false)
    for (const stop of stops) stop()
  })

  test('a value that does not fit is refused at the publisher, with topic, field and reason', async () => {
    const { mesh, peers } = await opened()
    const subscriber = vi.fn()
    const stop = await listen(peers, subscriber)
    const wrong = { n: 'one' as unknown as number }
    for (const error of [
      await failureOf((async () => mesh.primary.publish(lab.news, wrong))()),
      await failureOf(mesh.primary.broadcast(lab.news, wrong)),
    ]) {
      expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'lab.news' })
      expect(error.message).toMatch(/lab\.news: .*n: .*number/)
    }
    await mesh.primary.broadcast(lab.news, { n: 1 })
    expect(subscriber).toHaveBeenCalledTimes(3)
    stop()
  })

  test('a value that can not be sent is refused at the publisher, with topic and path', async () => {
    const { mesh } = await opened()
    const wrong = { deep: [() => 1] }
    for (const error of [
      await failureOf((async () => mesh.primary.publish(lab.gossip, wrong))()),
      await failureOf(mesh.primary.broadcast(lab.gossip, wrong)),
    ]) {
      expect(error).toMatchObject({ code: 'INVALID_VALUE', procedure: 'lab.gossip' })
      expect(error.message).toContain('lab.gossip')
      expect(error.message).toContain('deep[0]')
    }
  })

  test('a subscription ends when it is told to, and only that one', async () => {
    const { mesh, peers } = await opened({ workers: 1 })
    const got: string[] = []
    const worker = peers[1] as ClusterPeer
    const subscriber = ({ n }: { n: number }) => got.push(`${n}`)
    const first = worker.subscribe(lab.news, subscriber)
    const second = worker.subscribe(lab.news, subscriber)
    const stop = await listen([worker], () => {})
    await mesh.primary.broadcast(lab.news, { n: 1 })
    first()
    first()
    await mesh.primary.broadcast(lab.news, { n: 2 })
    second()
    await mesh.primary.broadcast(lab.news, { n: 3 })
    expect(got).toEqual(['1', '1', '2'])
    stop()
  })

  test('a subscriber that ends its own subscription while it runs gets nothing more', async () => {
    const { mesh, peers } = await opened({ workers: 1 })
    const got: number[] = []
    const stop = await listen(peers.slice(1), (n) => {
      got.push(n)
      stop()
    })
    for (const n of [1, 2, 3]) mesh.primary.publish(lab.news, { n })
    await mesh.primary.broadcast(lab.news, { n: 4 })
    expect(got).toEqual([1])
  })

  test('what was published before a broadcast has run everywhere when its receipt comes', async () => {
    const { mesh, peers } = await opened()
    const got = new Map(peers.map(({ number }) => [number, [] as number[]]))
    const stop = await listen(peers, (n, peer) => got.get(peer.number)?.push(n))
    for (const n of [1, 2, 3]) mesh.primary.publish(lab.news, { n })
    await mesh.primary.broadcast(lab.news, { n: 4 })
    expect([...got.values()]).toEqual(Array(3).fill([1, 2, 3, 4]))
    stop()
  })

  test.each([0, 1])(
    'a broadcast of peer %i is over when the last subscriber has run, asynchronous ones too',
    async (publisher) => {
      const { peers } = await opened()
      const gates = peers.map(() => deferred())
      let running = 0
      const stop = await listen(peers, (_n, peer) => {
        running++
        return gates[peer.number]?.promise
      })
      let receipt: Receipt | undefined
      const broadcast = (peers[publisher] as ClusterPeer).broadcast(lab.news, { n: 1 })
      broadcast.then((settled) => {
        receipt = settled
      })
      await until(() => running === 3, 'all run')
      gates[0]?.resolve()
      gates[1]?.resolve()
      await (peers[publisher] as ClusterPeer).broadcast(lab.gossip, 'a round trip')
      expect(receipt).toBeUndefined()
      gates[2]?.resolve()
      expect(statuses(await broadcast)).toEqual({ 0: 'applied', 1: 'applied', 2: 'applied' })
      expect((await broadcast).ok).toBe(true)
      stop()
    },
  )

  test('a broadcast waits for whatever a subscriber returns that can be waited for', async () => {
    const { mesh, peers } = await opened({ workers: 1 })
    let ran = false
    const stop = await listen(peers.slice(1), () => ({
      // biome-ignore lint/suspicious/noThenProperty: query builders are like this: they run when they are waited for.
      then(resolve: () => void) {
        ran = true
        resolve()
      },
    }))
    await mesh.primary.broadcast(lab.news, { n: 1 })
    expect(ran).toBe(true)
    stop()
  })

  test('the receipt tells who has no subscriber, and who failed with what', async () => {
    const { mesh, peers } = await opened({ workers: 3 })
    const stop = await listen(peers.slice(2), (_n, { number }) => {
      if (number === 3) throw new TypeError('what news?')
    })
    const receipt = await mesh.primary.broadcast(lab.news, { n: 1 })
    expect(statuses(receipt)).toEqual({ 1: 'no-subscriber', 2: 'applied', 3: 'failed' })
    const failed = receipt.outcomes.find(({ status }) => status === 'failed')
    expect(failed).toMatchObject({
      member: { number: 3, id: mesh.workers[2]?.id },
      error: { code: 'HANDLER_ERROR', cause: { name: 'TypeError', message: 'what news?' } },
    })
    expect(receipt.ok).toBe(false)
    expect([...receipt]).toEqual(receipt.outcomes)
    stop()
  })

  test.each([
    ['a Proxy whose traps throw', () => new Proxy({}, { getPrototypeOf: broken, get: broken })],
    ['undefined', () => undefined],
    ['an error with data that can not be sent', () => Object.assign(new Error('x'), { data() {} })],
  ])(
    'a subscriber that throws %s fails the broadcast there, and nothing else',
    async (_name, make) => {
      const { mesh, peers } = await opened()
      const stop = await listen(peers.slice(1), async () => {
        throw make()
      })
      const receipt = await mesh.primary.broadcast(lab.news, { n: 1 })
      expect(statuses(receipt)).toEqual({ 1: 'failed', 2: 'failed' })
      stop()
    },
  )

  test('a member that dies while it is waited for is settled at once as exited', async () => {
    // Time stands still: no timeout can be what settles it.
    const { mesh, peers } = await opened({ workers: 3, clock: new ManualClock() })
    let running = 0
    const stop = await listen(peers.slice(1), (_n, { number }) => {
      running++
      return number === 2 ? new Promise(() => {}) : undefined
    })
    const broadcast = mesh.primary.broadcast(lab.news, { n: 1 })
    await until(() => running === 3, 'all run')
    mesh.workers[1]?.kill()
    const receipt = await broadcast
    expect(statuses(receipt)).toEqual({ 1: 'applied', 2: 'exited', 3: 'applied' })
    expect(receipt.ok).toBe(true)
    stop()
  })

  test('a member that takes too long is timed-out; the others’ outcomes stand', async () => {
    const clock = new ManualClock()
    const { mesh, peers } = await opened({ clock })
    const gate = deferred()
    let running = 0
    const stop = await listen(peers.slice(1), (_n, { number }) => {
      running++
      return number === 2 ? gate.promise : undefined
    })
    const quick = peers[1]?.subscribe(lab.gossip, () => {})
    await peers[1]?.broadcast(lab.gossip, 'the subscription has got to the primary')
    const broadcast = mesh.primary.broadcast(lab.news, { n: 1 }, { timeout: 100 })
    await until(() => running === 2, 'both run')
    // What worker 1 answers now comes behind what it has answered before.
    await mesh.primary.broadcast(lab.gossip, 1)
    quick?.()
    clock.advance(101)
    const receipt = await broadcast
    expect(statuses(receipt)).toEqual({ 1: 'applied', 2: 'timed-out' })
    expect(receipt.ok).toBe(false)
    gate.resolve()
    stop()
  })

  test('a broadcast that never got through does not claim to have been applied', async () => {
    const clock = new ManualClock()
    const { mesh, peers } = await opened({ clock })
    const stop = await listen(peers.slice(1), () => {})
    const worker = mesh.workers[0] as (typeof mesh.workers)[0]
    const broadcast = failureOf(worker.broadcast(lab.news, { n: 1 }, { timeout: 100 }))
    while (worker.pending === 0) await null
    clock.advance(101)
    expect((await broadcast).code).toBe('DEADLINE_EXCEEDED')
    // The value itself may still arrive, after which nobody listens any more.
    await mesh.primary.broadcast(lab.news, { n: 2 })
    stop()
  })

  test('a publisher that is cut off does not take the others for dead', async () => {
    const { mesh, peers } = await opened()
    const running = deferred()
    const gate = deferred()
    const stop = await listen(peers.slice(2), () => {
      running.resolve()
      return gate.promise
    })
    const worker = mesh.workers[0] as (typeof mesh.workers)[0]
    const broadcast = failureOf(worker.broadcast(lab.news, { n: 1 }))
    await running.promise
    worker.kill()
    expect((await broadcast).code).toBe('PEER_CLOSED')
    gate.resolve()
    stop()
  })

  test('a publisher that stops waiting gets CANCELLED; the value is not taken back', async () => {
    const { mesh, peers } = await opened({ workers: 1 })
    const gate = deferred()
    const got: number[] = []
    const stop = await listen(peers.slice(1), (n) => {
      got.push(n)
      return gate.promise
    })
    const leave = controller()
    const broadcast = failureOf(
      mesh.primary.broadcast(lab.news, { n: 1 }, { signal: leave.signal }),
    )
    await until(() => got.length === 1, 'it runs')
    leave.abort(new Error('no time'))
    expect(await broadcast).toMatchObject({ code: 'CANCELLED', cause: { message: 'no time' } })
    const early = AbortSignal.abort()
    const error = await failureOf(mesh.primary.broadcast(lab.news, { n: 2 }, { signal: early }))
    expect(error.code).toBe('CANCELLED')
    expect(got).toEqual([1])
    gate.resolve()
    stop()
  })

  test('a worker that is not ready gets what is published, and is not waited for', async () => {
    const { mesh } = await opened({ workers: 1 })
    const booting = await mesh.addWorker()
    const got: number[] = []
    const gate = deferred()
    const stop = await listen([booting], (n) => {
      got.push(n)
      return gate.promise
    })
    const receipt = await mesh.primary.broadcast(lab.news, { n: 1 })
    expect(statuses(receipt)).toEqual({ 1: 'no-subscriber' })
    await until(() => got.length === 1, 'it has come')
    gate.resolve()
    stop()
  })

  test('a timeout that can not be one is refused', async () => {
    const { mesh } = await opened()
    for (const timeout of [0, Number.NaN, Number.POSITIVE_INFINITY])
      expect(
        await failureOf(mesh.primary.broadcast(lab.news, { n: 1 }, { timeout })),
      ).toMatchObject({ code: 'INVALID_OPTION' })
  })

  test('a peer that is closed neither publishes nor listens', async () => {
    const { mesh } = await opened()
    const worker = mesh.workers[0] as (typeof mesh.workers)[0]
    worker.kill()
    expect(() => worker.publish(lab.news, { n: 1 })).toThrow(/closed/)
    expect(() => worker.subscribe(lab.news, () => {})).toThrow(/closed/)
    expect((await failureOf(worker.broadcast(lab.news, { n: 1 }))).code).toBe('PEER_CLOSED')
  })
}

function broken(): never {
  throw new Error('a trap')
}
