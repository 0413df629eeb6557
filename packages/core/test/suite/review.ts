// What readers of this code have found, where no other file has a test for it. Each is a user's harm that was there once.

import { bytes, contract, procedure, stream, topic } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import { allReady, controller, deferred, failureOf, ManualClock, turn, until } from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const kept = contract('kept', { state: topic(z.int(), { retain: true }) })
const store = contract('store', { turn: stream({ upload: bytes(), output: bytes() }) })

export function describeReview(createLinks: CreateLinks): void {
  const opened = async (options: SceneOptions = {}) => {
    const { mesh } = await openScene(createLinks, { workers: 2, ...options })
    const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
    return { mesh, one, two }
  }

  test('a call that is aborted before it is made asks no schema: one that refuses later is nobody’s rejection', async () => {
    const { mesh } = await opened()
    let asked = 0
    const slow = contract('slow', {
      ask: procedure({ input: z.string().refine(async () => ++asked < 0) }),
    })
    const error = await failureOf(
      mesh.primary.client(slow).ask('x', { signal: AbortSignal.abort() }),
    )
    expect(error.code).toBe('CANCELLED')
    await turn()
    expect(asked).toBe(0)
  })

  test('another version’s answer that does not fit is INCOMPATIBLE, also where the schema has defaults', async () => {
    const { mesh, one } = await opened()
    const a = z.int()
    const theirs = contract('api', {
      get: procedure({ output: z.object({ a }) }),
      list: stream({ output: z.object({ a }) }),
    })
    const withDefault = z.object({ a, b: z.string(), c: z.string().default('x') })
    const ours = contract('api', {
      get: procedure({ output: withDefault }),
      list: stream({ output: withDefault }),
    })
    one.serve(theirs, {
      get: () => ({ a: 1 }),
      async *list() {
        yield { a: 1 }
      },
    })
    await allReady(mesh)
    const client = mesh.primary.client(ours)
    for (const call of [client.get(), client.list().next()])
      expect(await failureOf(call)).toMatchObject({ code: 'INCOMPATIBLE' })
  })

  test('an asynchronous output schema, asked because the versions differ, takes no longer than the call', async () => {
    const clock = new ManualClock()
    const { mesh, one } = await opened({ clock })
    const theirs = contract('api', { get: procedure({ output: z.int() }) })
    const ours = contract('api', {
      get: procedure({
        output: z
          .int()
          .max(9)
          .refine(() => new Promise<boolean>(() => {})),
      }),
    })
    let answered = 0
    one.serve(theirs, { get: () => ++answered })
    await allReady(mesh)
    const call = failureOf(mesh.primary.client(ours).get(undefined, { timeout: 100 }))
    await until(() => answered === 1, 'it is answered')
    for (let n = 0; n < 10; n++) await turn()
    clock.advance(101)
    expect((await call).code).toBe('DEADLINE_EXCEEDED')
  })

  test('a subscriber is on its own: what it calls belongs to no request of the publisher', async () => {
    const { mesh, one } = await opened()
    const seen = deferred<unknown>()
    const gate = deferred()
    serveLab(one, { anything: (_input, { meta }) => void seen.resolve(meta) })
    serveLab(mesh.primary, {
      hold: async () => {
        mesh.primary.publish(lab.gossip, 1)
        await gate.promise
      },
    })
    await allReady(mesh)
    const stop = mesh.primary.subscribe(lab.gossip, () =>
      mesh.primary.client(lab, { to: 1 }).anything(1),
    )
    const held = one.client(lab, { to: 'primary' }).hold(1, { meta: { user: 'ada' } })
    expect(await seen.promise).toEqual({})
    gate.resolve()
    await held
    stop()
  })

  test('an upload that waits for a worker is read in the scope of the request that made it', async () => {
    const { mesh, one, two } = await opened()
    const seen: unknown[] = []
    serveLab(two, {
      anything: (_input, { meta }) => void seen.push(meta),
      async sum(_input, { upload }) {
        let total = 0
        for await (const n of upload) total += n
        return { total }
      },
    })
    const desk = contract('desk', { go: procedure({ output: z.any() }) })
    const other = mesh.primary.client(lab)
    mesh.primary.serve(desk, {
      go: () => {
        async function* numbers() {
          await other.anything(1)
          yield 1
        }
        return other.sum(undefined, { upload: numbers() })
      },
    })
    await until(
      () => one.peer.directory.get(0)?.procedures.has('desk.go') === true,
      'it is known what the primary serves',
    )
    const going = one.client(desk, { to: 'primary' }).go(undefined, { meta: { user: 'ada' } })
    await until(() => mesh.primary.peer.waiting.size === 1, 'it waits')
    await allReady(mesh)
    expect(await going).toEqual({ total: 1 })
    expect(seen).toEqual([{ user: 'ada' }])
  })

  test('awaiting a stream of bytes gives all of them', async () => {
    const { mesh, one } = await opened()
    one.serve(store, {
      async *turn(_input, { upload }) {
        for await (const piece of upload) yield piece
      },
    })
    await allReady(mesh)
    const { turn: back } = mesh.primary.client(store)
    for (const size of [0, 10, 300_000]) {
      const data = new Uint8Array(size).fill(7)
      expect(Buffer.from(await back(undefined, { upload: [data] })).equals(data)).toBe(true)
    }
    const failing = (async function* () {
      yield new Uint8Array(1)
      throw new Error('the source broke')
    })()
    const caught = await back(undefined, { upload: failing }).catch((error: Error) => error)
    expect(caught).toMatchObject({ message: 'the source broke' })
  })

  test('a retained value is told once, however a subscription is ended and made again', async () => {
    const { mesh, one } = await opened()
    await allReady(mesh)
    const stop = one.subscribe(kept.state, () => {})
    await mesh.primary.broadcast(kept.state, 1)
    const seen: unknown[] = []
    mesh.primary.publish(kept.state, 2)
    stop()
    const again = one.subscribe(kept.state, (value) => void seen.push(value))
    await until(() => seen.length > 0, 'it is told')
    await mesh.primary.broadcast(kept.state, 3)
    expect(seen.filter((value) => value === 2).length).toBeLessThanOrEqual(1)
    expect(seen.at(-1)).toBe(3)
    again()
  })

  test('a subscriber that another one has ended gets no more, not even the value of that moment', async () => {
    const { mesh, one } = await opened()
    await allReady(mesh)
    let late = 0
    const first = one.subscribe(lab.gossip, () => second())
    const second = one.subscribe(lab.gossip, () => void late++)
    await one.broadcast(lab.news, { n: 0 }) // Behind the subscriptions.
    await mesh.primary.broadcast(lab.gossip, 1)
    expect(late).toBe(0)
    first()
  })

  test('an iterable that comes too late for its caller is closed, and so is a source that is never read', async () => {
    const { mesh, one } = await opened()
    let closed = 0
    const source = () => {
      async function* numbers() {
        try {
          for (let n = 1; ; n++) yield n
        } finally {
          closed++
        }
      }
      const values = numbers()
      // Begun, so that there is something to close.
      void values.next()
      return values
    }
    const [entered, gate] = [deferred(), deferred()]
    serveLab(one, {
      count: (async () => {
        entered.resolve()
        await gate.promise
        return source()
      }) as never,
    })
    await allReady(mesh)
    const leaving = controller()
    const left = failureOf(
      mesh.primary.client(lab).count({ to: 9 }, { signal: leaving.signal }).next(),
    )
    await entered.promise
    leaving.abort()
    await left
    await until(() => one.peer.serving === 0, 'it is told')
    gate.resolve()
    await until(() => closed === 1, 'what came too late is closed')
    const nobody = contract('nobody', { take: stream({ upload: z.int(), output: z.int() }) })
    const refused = mesh.primary.client(nobody).take(undefined, { upload: source() })
    expect((await failureOf(refused.next())).code).toBe('UNIMPLEMENTED')
    await until(() => closed === 2, 'what is never read is closed')
  })

  test('a peer that is closed says so of its own calls, and does not call the others dead', async () => {
    const { mesh, one, two } = await opened()
    for (const worker of [one, two])
      serveLab(worker, { hold: (_input, { signal }) => aborted(signal) })
    await allReady(mesh)
    const call = failureOf(mesh.primary.client(lab).hold(1))
    const gather = failureOf(mesh.primary.all(lab).hold(1))
    await until(() => one.peer.serving + two.peer.serving === 3, 'they run')
    mesh.primary.peer.close('the program ends')
    expect(await call).toMatchObject({ code: 'PEER_CLOSED', procedure: 'lab.hold' })
    expect((await gather).code).toBe('PEER_CLOSED')
  })

  test('leaving a stream does not wait for middleware that hangs', async () => {
    const { mesh, one } = await opened()
    serveLab(one)
    await allReady(mesh)
    const client = mesh.primary.client(lab, { use: [() => new Promise(() => {})] })
    const values = client.count({ to: 3 })
    void values.next()
    expect(await values.return?.()).toEqual({ value: undefined, done: true })
    const broken = mesh.primary.client(lab, { use: [() => Promise.reject(new Error('no'))] })
    const failing = broken.count({ to: 3 })
    await expect(failing.next()).rejects.toThrow('no')
    expect(await failing.next()).toEqual({ value: undefined, done: true })
    expect(await failing.return?.()).toEqual({ value: undefined, done: true })
  })

  test('many calls that wait for a worker do not hold up the event loop for each other', async () => {
    const { mesh, one } = await opened()
    const many = contract('many', {
      ask: procedure({ input: z.int(), output: z.int(), queue: { limit: 10_000 } }),
    })
    const { ask } = mesh.primary.client(many)
    const calls = Array.from({ length: 10_000 }, (_, n) => ask(n))
    expect(mesh.primary.pending).toBe(10_000)
    expect((await failureOf(ask(1))).code).toBe('OVERLOADED')
    one.serve(many, { ask: (n) => n })
    await allReady(mesh)
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 10_000 }, (_, n) => n))
  })

  test('newcomers are told of everybody, however much the others serve', async () => {
    const { mesh, one, two } = await opened({ limit: 128 * 1024 })
    for (const worker of [one, two])
      for (let n = 0; n < 800; n++)
        worker.peer.serve(`long.${'x'.repeat(100)}${n}`, () => {}, 'fingerprint')
    serveLab(two)
    await allReady(mesh)
    const newcomer = await mesh.addWorker()
    expect(await newcomer.client(lab, { to: 2 }).anything(1)).toBe(1)
  })
}
