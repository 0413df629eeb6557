// Topics whose schema is asynchronous: order, what is kept, and what becomes of a schema that never answers.

import { contract, type Receipt, type Schema, topic } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import {
  allReady,
  controller,
  type Deferred,
  deferred,
  failureOf,
  ManualClock,
  turn,
  until,
} from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

interface Value {
  readonly n: number
}
type Answer = Awaited<ReturnType<Schema<Value>['~standard']['validate']>>

const schemaOf = (validate: (value: Value) => Answer | Promise<Answer>): Schema<Value> => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => validate(value as Value),
  },
})

/** The same topics with whatever schema: a publisher's need not be the subscriber's. */
const boardOf = (schema: Schema<Value>) =>
  contract('board', { chat: topic(schema), price: topic(schema, { retain: true }) })
const quick = boardOf(z.object({ n: z.int() }))

/** A schema that answers when it is told to. */
const gated = () => {
  const asked: number[] = []
  const gates = new Map<number, Deferred<Answer>>()
  const gateOf = (n: number) => {
    const gate = gates.get(n) ?? deferred<Answer>()
    gates.set(n, gate)
    return gate
  }
  return {
    board: boardOf(
      schemaOf((value) => {
        asked.push(value.n)
        return gateOf(value.n).promise
      }),
    ),
    /** What it has been asked about. */
    asked,
    accept: (...numbers: readonly number[]) => {
      for (const n of numbers) gateOf(n).resolve({ value: { n } })
    },
    refuse: (n: number) => gateOf(n).resolve({ issues: [{ message: 'not today' }] }),
  }
}

export function describeLateSchemas(createLinks: CreateLinks): void {
  const opened = async () => {
    const clock = new ManualClock()
    const { mesh } = await openScene(createLinks, { workers: 1, clock })
    await allReady(mesh)
    const worker = mesh.workers[0] as MeshPeer
    /** All that the worker has announced has got to the primary, and what was published there has got here. */
    const synced = async () => {
      const stop = worker.subscribe(lab.gossip, () => {})
      await worker.broadcast(lab.gossip, 1)
      stop()
    }
    const publish = (...numbers: readonly number[]) => {
      for (const n of numbers) mesh.primary.publish(quick.chat, { n })
    }
    return { mesh, clock, primary: mesh.primary, worker, synced, publish }
  }
  const collect = (peer: ClusterPeer, { chat }: typeof quick, options = {}) => {
    const got: number[] = []
    const stop = peer.subscribe(chat, ({ n }) => void got.push(n), options)
    return { got, stop }
  }
  const statuses = ({ outcomes }: Receipt) => outcomes.map(({ status }) => status)

  test('values arrive in order, though their schema takes longer with the first', async () => {
    const slowing = boardOf(
      schemaOf(async (value) => {
        for (let turns = value.n; turns < 5; turns++) await turn()
        return { value }
      }),
    )
    const { worker, synced, publish } = await opened()
    const { got, stop } = collect(worker, slowing)
    await synced()
    publish(1, 2, 3, 4, 5)
    await until(() => got.length === 5, 'all have come')
    expect(got).toEqual([1, 2, 3, 4, 5])
    stop()
  })

  test('a value whose schema answers at once waits for the one before, whose schema does not', async () => {
    const first = deferred<Answer>()
    const mixed = boardOf(schemaOf((value) => (value.n === 1 ? first.promise : { value })))
    const { worker, synced, publish } = await opened()
    const { got, stop } = collect(worker, mixed)
    await synced()
    publish(1, 2, 3)
    await synced()
    expect(got).toEqual([])
    first.resolve({ value: { n: 1 } })
    await until(() => got.length === 3, 'all have come')
    expect(got).toEqual([1, 2, 3])
    stop()
  })

  test('the schema is asked once about each value, whoever listens, and makes of it what all get', async () => {
    let asked = 0
    const doubling = boardOf(
      schemaOf(async ({ n }) => {
        asked++
        await turn()
        return { value: { n: n * 2 } }
      }),
    )
    const { primary, worker, synced } = await opened()
    const [one, other] = [collect(worker, doubling), collect(worker, doubling)]
    await synced()
    for (const n of [1, 2, 3]) await primary.broadcast(quick.chat, { n })
    expect([one.got, other.got, asked]).toEqual([[2, 4, 6], [2, 4, 6], 3])
    one.stop()
    other.stop()
  })

  test('a value that is refused fails its broadcast, or is reported once; the next one arrives', async () => {
    const { board, accept, refuse } = gated()
    const { mesh, primary, worker, synced, publish } = await opened()
    const [one, other] = [collect(worker, board), collect(worker, board)]
    await synced()
    refuse(1)
    refuse(2)
    accept(3)
    expect((await primary.broadcast(quick.chat, { n: 1 })).outcomes).toMatchObject([
      { status: 'failed', error: { code: 'INVALID_REQUEST', message: /not today/ } },
    ])
    publish(2, 3)
    await until(() => one.got.length + other.got.length === 2, 'the next has come')
    expect([one.got, other.got]).toEqual([[3], [3]])
    expect(mesh.errors.splice(0)).toMatchObject([{ code: 'INVALID_REQUEST' }])
    one.stop()
    other.stop()
  })

  test('behind a schema that never answers wait as many values as the subscriber lets wait', async () => {
    const { board, accept, asked } = gated()
    const { clock, primary, worker, synced, publish } = await opened()
    const { got, stop } = collect(worker, board, { limit: 2, overflow: 'drop-newest' })
    await synced()
    publish(1, 2)
    const waits = primary.broadcast(quick.chat, { n: 3 }, { timeout: 100 })
    const dropped = await primary.broadcast(quick.chat, { n: 4 })
    expect(dropped.outcomes).toMatchObject([{ status: 'failed', error: { code: 'OVERLOADED' } }])
    publish(5, 6)
    await synced()
    expect([stop.dropped, asked, got]).toEqual([3, [1], []])
    clock.advance(101)
    expect(statuses(await waits)).toEqual(['timed-out'])
    accept(1, 2, 3)
    await until(() => got.length === 3, 'what has waited has come')
    expect(got).toEqual([1, 2, 3])
    stop()
  })

  test('the value whose schema is asked is not dropped for newer ones: else none would ever arrive', async () => {
    const { board, accept } = gated()
    const { worker, synced, publish } = await opened()
    const { got, stop } = collect(worker, board, { limit: 1 })
    await synced()
    publish(1, 2, 3, 4)
    await synced()
    accept(1, 4)
    await until(() => got.length === 2, 'the first and the last have come')
    expect([got, stop.dropped]).toEqual([[1, 4], 2])
    stop()
  })

  test('with "disconnect", who waits too long for the schema gets no more, and that is reported', async () => {
    const { board, accept } = gated()
    const { mesh, primary, worker, synced, publish } = await opened()
    const { got, stop } = collect(worker, board, { limit: 1, overflow: 'disconnect' })
    await synced()
    const first = primary.broadcast(quick.chat, { n: 1 })
    publish(2, 3)
    expect((await first).outcomes).toMatchObject([
      { status: 'failed', error: { code: 'OVERLOADED' } },
    ])
    expect(mesh.errors.splice(0)).toMatchObject([{ code: 'OVERLOADED', procedure: 'board.chat' }])
    accept(1)
    await synced()
    expect([got, stop.dropped]).toEqual([[], 3])
    expect(statuses(await primary.broadcast(quick.chat, { n: 4 }))).toEqual(['no-subscriber'])
  })

  test('a subscription that ends while the schema is asked gets nothing, and holds up no broadcast', async () => {
    const { board, accept, asked } = gated()
    const { primary, worker, synced } = await opened()
    const { got, stop } = collect(worker, board)
    await synced()
    const broadcasts = [1, 2].map((n) => primary.broadcast(quick.chat, { n }))
    await until(() => asked.length === 1, 'it is asked')
    await synced()
    stop()
    for (const receipt of await Promise.all(broadcasts)) expect(receipt.ok).toBe(true)
    accept(1)
    await synced()
    expect(got).toEqual([])
  })

  test('of a retained topic, the last value is kept, though its schema was the quickest', async () => {
    const slowing = boardOf(
      schemaOf(async (value) => {
        for (let turns = value.n; turns < 3; turns++) await turn()
        return { value }
      }),
    )
    const { primary, worker, synced } = await opened()
    const got: number[] = []
    const early = worker.subscribe(slowing.price, ({ n }) => void got.push(n))
    await synced()
    for (const n of [1, 2, 3]) primary.publish(quick.price, { n })
    await until(() => got.at(-1) === 3, 'the last has come')
    const late: number[] = []
    const stop = worker.subscribe(slowing.price, ({ n }) => void late.push(n))
    await until(() => late.length > 0, 'it has come')
    expect(late).toEqual([3])
    early()
    stop()
  })

  test('who subscribes while the schema is asked about the last value gets it when it has answered', async () => {
    const { board, accept, asked } = gated()
    const { primary, worker, synced } = await opened()
    const early: number[] = []
    const late: (readonly [n: number, version: number, retained: boolean])[] = []
    const stops = [worker.subscribe(board.price, ({ n }) => void early.push(n))]
    await synced()
    for (const n of [1, 2, 3]) primary.publish(quick.price, { n })
    await until(() => asked.length === 1, 'it is asked')
    await synced()
    stops.push(
      worker.subscribe(board.price, ({ n }, { version, retained }) =>
        late.push([n, version, retained]),
      ),
    )
    await turn()
    expect(late).toEqual([])
    accept(1, 2, 3)
    await until(() => early.length === 3, 'all have come')
    await until(() => late.length === 1, 'the last has come')
    expect(late).toEqual([[3, 3, true]])
    primary.publish(quick.price, { n: 4 })
    accept(4)
    await until(() => late.length === 2, 'the next has come')
    expect([early, late[1]]).toEqual([
      [1, 2, 3, 4],
      [4, 4, false],
    ])
    for (const stop of stops) stop()
  })

  test('an older value that its schema accepts later does not take the place of a newer one', async () => {
    const { board, accept, asked } = gated()
    const { primary, worker, synced } = await opened()
    const got: [string, number][] = []
    const listen = (who: string) =>
      worker.subscribe(board.price, ({ n }) => void got.push([who, n]))
    const stops = [listen('early')]
    await synced()
    for (const n of [1, 2]) primary.publish(quick.price, { n })
    await until(() => asked.length === 1, 'it is asked about the first')
    await synced()
    stops.push(listen('late'))
    accept(2)
    await until(() => got.length === 1, 'the second has come to who was not there before')
    accept(1)
    await until(() => got.length === 3, 'both have come to who was')
    stops.push(listen('last'))
    await until(() => got.length === 4, 'the last has come')
    expect(got).toEqual([
      ['late', 2],
      ['early', 1],
      ['early', 2],
      ['last', 2],
    ])
    for (const stop of stops) stop()
  })

  test('a value of a retained topic that the schema refuses is not kept', async () => {
    const { board, accept, refuse } = gated()
    const { mesh, primary, worker, synced } = await opened()
    const early: number[] = []
    const stops = [worker.subscribe(board.price, ({ n }) => void early.push(n))]
    await synced()
    accept(1)
    refuse(2)
    for (const n of [1, 2]) primary.publish(quick.price, { n })
    await until(() => mesh.errors.length === 1, 'it is reported')
    expect(mesh.errors.splice(0)).toMatchObject([{ code: 'INVALID_REQUEST' }])
    const late: number[] = []
    stops.push(worker.subscribe(board.price, ({ n }) => void late.push(n)))
    await synced()
    await until(() => late.length === 1, 'the one before has come')
    expect([early, late]).toEqual([[1], [1]])
    for (const stop of stops) stop()
  })

  test('a loop gets its values in order, too', async () => {
    const { board, accept } = gated()
    const { worker, synced, publish } = await opened()
    const values = worker.subscribe(board.chat)
    await synced()
    publish(1, 2)
    accept(2)
    accept(1)
    const got: number[] = []
    for await (const { n } of values) {
      got.push(n)
      if (n === 2) break
    }
    expect(got).toEqual([1, 2])
  })

  test('a broadcast whose schema never answers ends with its deadline, and with its signal', async () => {
    const { board, asked } = gated()
    const { clock, primary } = await opened()
    const late = failureOf(primary.broadcast(board.chat, { n: 1 }, { timeout: 100 }))
    const leave = controller()
    const left = failureOf(primary.broadcast(board.chat, { n: 2 }, { signal: leave.signal }))
    await until(() => asked.length === 2, 'it is asked')
    clock.advance(101)
    expect(await late).toMatchObject({ code: 'DEADLINE_EXCEEDED', procedure: 'board.chat' })
    leave.abort(new Error('no time'))
    expect(await left).toMatchObject({ code: 'CANCELLED', cause: { message: 'no time' } })
    expect(primary.pending).toBe(0)
  })

  test('a broadcast that was given up is not sent when its schema answers at last', async () => {
    const { board, accept, asked } = gated()
    const { primary, worker, synced } = await opened()
    const { got, stop } = collect(worker, quick)
    await synced()
    const leave = controller()
    const left = failureOf(primary.broadcast(board.chat, { n: 1 }, { signal: leave.signal }))
    await until(() => asked.length === 1, 'it is asked')
    leave.abort()
    expect((await left).code).toBe('CANCELLED')
    accept(1, 2)
    expect((await primary.broadcast(board.chat, { n: 2 })).ok).toBe(true)
    expect(got).toEqual([2])
    stop()
  })

  test('broadcasts of one publisher are sent in the order in which they were made', async () => {
    const { board, accept, refuse, asked } = gated()
    const { clock, primary, worker, synced } = await opened()
    const { got, stop } = collect(worker, quick)
    await synced()
    const [stuck, wrong, ...rest] = [1, 2, 3, 4].map((n) =>
      primary.broadcast(board.chat, { n }, { timeout: n === 1 ? 100 : 1_000 }),
    ) as [Promise<Receipt>, Promise<Receipt>, ...Promise<Receipt>[]]
    const failures = [failureOf(stuck), failureOf(wrong)]
    await until(() => asked.length === 4, 'it is asked about all')
    accept(4)
    refuse(2)
    expect(await failures[1]).toMatchObject({ code: 'INVALID_REQUEST' })
    await synced()
    expect(got).toEqual([])
    clock.advance(101)
    expect((await failures[0])?.code).toBe('DEADLINE_EXCEEDED')
    accept(3)
    for (const receipt of await Promise.all(rest)) expect(receipt.ok).toBe(true)
    expect(got).toEqual([3, 4])
    stop()
  })

  test('a peer that closes while the schema is asked ends its broadcast', async () => {
    const { board, asked } = gated()
    const { worker } = await opened()
    const broadcast = failureOf(worker.broadcast(board.chat, { n: 1 }))
    await until(() => asked.length === 1, 'it is asked')
    worker.kill()
    expect((await broadcast).code).toBe('PEER_CLOSED')
  })

  test('publish can’t tell what such a schema says, and is refused', async () => {
    const { board } = gated()
    const { primary } = await opened()
    expect(() => primary.publish(board.chat, { n: 1 })).toThrow(/asynchronous.*broadcast/)
  })
}
