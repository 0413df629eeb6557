// What is over leaves nothing behind: no entry, no timer, no listener, no object.

import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { lab } from './fixtures/lab.js'
import { aborted, serveLab } from './fixtures/workbench.js'
import { allReady, failureOf, ManualClock, openMesh, turn, until } from './support.js'

const ROUNDS = 200
/** Each settles so many calls: most of them well, some in every other way. */
const CALLS = 1_000

/** The heap in use after everything that can be collected has been. */
async function heapInUse(): Promise<number> {
  for (let n = 0; n < 5; n++) {
    await turn()
    collect()
  }
  return process.memoryUsage().heapUsed
}

function collect(): void {
  if (globalThis.gc === undefined) throw new Error('Run with --expose-gc')
  globalThis.gc()
}

async function areCollected(refs: readonly WeakRef<object>[]): Promise<void> {
  await until(() => {
    collect()
    return refs.every((ref) => ref.deref() === undefined)
  }, 'all are collected')
}

test('200 000 calls that succeed, fail, time out, are aborted or lose their worker leave no growth', async () => {
  const clock = new ManualClock()
  const mesh = await openMesh({ workers: 1, clock })
  const stays = new AbortController()
  const staff = (worker: (typeof mesh.workers)[0]) =>
    serveLab(worker, {
      greet: ({ name }, { errors }) => {
        throw errors.UNKNOWN_NAME({ name, known: [] })
      },
      hold: (_input, { signal }) => aborted(signal),
    })
  serveLab(mesh.primary)
  staff(mesh.workers[0] as (typeof mesh.workers)[0])
  await allReady(mesh)
  let settled = 0

  const round = async (calls: number) => {
    const worker = await mesh.addWorker()
    staff(worker)
    await worker.ready()
    const [any, doomed] = [
      mesh.primary.client(lab),
      mesh.primary.client(lab, { to: worker.number }),
    ]
    const back = worker.client(lab, { to: 'primary' })
    const leaves = new AbortController()
    const rest = Array.from({ length: calls / 20 }, (_, n) => [
      failureOf(any.greet({ name: 'Bob', times: 1 })),
      failureOf(any.hold(n, { timeout: 5 })),
      failureOf(any.hold(n, { signal: leaves.signal })),
      failureOf(any.anything(() => n)),
      failureOf(doomed.hold(n)),
      ...Array.from({ length: 10 }, () => any.anything(n, { signal: stays.signal })),
      ...Array.from({ length: 5 }, () => back.anything(n)),
    ]).flat()
    await until(() => worker.peer.pending === 0, 'the worker’s own calls are answered')
    leaves.abort()
    clock.advance(6)
    await turn()
    worker.kill()
    settled += (await Promise.all(rest)).length
    mesh.workers.pop()
    expect(mesh.primary.pending).toBe(0)
  }

  for (let n = 0; n < 20; n++) await round(CALLS)
  const before = await heapInUse()
  for (let n = 20; n < ROUNDS; n++) await round(CALLS)
  const after = await heapInUse()
  expect(settled).toBe(ROUNDS * CALLS)
  expect(mesh.workers[0]?.peer.serving).toBe(0)
  expect(getEventListeners(stays.signal, 'abort')).toEqual([])
  // The pending table's one timer for each peer that lives.
  expect(clock.timers).toBeLessThan(6)
  // Measured: a leak of one empty object a call would be 10 MB.
  expect((after - before) / 1024 / 1024).toBeLessThan(3)
}, 120_000)

test('a call that is settled can be collected, with its input, its answer and its signal', async () => {
  const mesh = await openMesh({ workers: 1 })
  serveLab(mesh.workers[0] as (typeof mesh.workers)[0])
  await allReady(mesh)
  const client = mesh.primary.client(lab)
  const refs: WeakRef<object>[] = []
  const remember = <T extends object>(value: T): T => {
    refs.push(new WeakRef(value))
    return value
  }
  const make = async () => {
    const { signal } = remember(new AbortController())
    const answer = client.anything(remember({ some: 'input' }), { signal: remember(signal) })
    remember(answer)
    remember(await answer)
    const failed = failureOf(client.hold(remember({}), { timeout: 1 }))
    remember(failed)
    remember(await failed)
  }
  await make()
  await areCollected(refs)
})

test('a stream that is over can be collected, with its values, its source and its handler’s context', async () => {
  const mesh = await openMesh({ workers: 1 })
  const refs: WeakRef<object>[] = []
  const remember = <T extends object>(value: T): T => {
    refs.push(new WeakRef(value))
    return value
  }
  serveLab(mesh.workers[0] as (typeof mesh.workers)[0], {
    async *double(_input, context) {
      remember(context)
      remember(context.signal)
      for await (const n of remember(context.upload)) yield n
    },
  })
  await allReady(mesh)
  const client = mesh.primary.client(lab)
  const make = async (leaveAfter: number) => {
    async function* source() {
      yield* [1, 2, 3]
    }
    const stream = remember(client.double(undefined, { upload: remember(source()) }))
    for await (const n of stream) if (n === leaveAfter) break
  }
  await make(99)
  await make(2)
  await areCollected(refs)
})

test('a peer that has left can be collected', async () => {
  const mesh = await openMesh({ workers: 1 })
  const refs: WeakRef<object>[] = []
  // On its own: a running function's variables are no leak.
  const comeAndGo = async () => {
    const worker = await mesh.addWorker()
    serveLab(worker)
    await worker.ready()
    await mesh.primary.client(lab, { to: worker.number }).anything(1)
    refs.push(new WeakRef(worker), new WeakRef(worker.peer))
    worker.kill()
    mesh.workers.pop()
  }
  await comeAndGo()
  await areCollected(refs)
})

test('subscriptions that have ended leave nothing behind', async () => {
  const mesh = await openMesh({ workers: 1 })
  await allReady(mesh)
  const worker = mesh.workers[0] as (typeof mesh.workers)[0]
  const refs: WeakRef<object>[] = []
  const make = async () => {
    const subscriber = () => {}
    refs.push(new WeakRef(subscriber))
    const stop = worker.subscribe(lab.news, subscriber)
    await mesh.primary.broadcast(lab.news, { n: 1 })
    stop()
  }
  for (let n = 0; n < 100; n++) await make()
  await areCollected(refs)
})

test('values that are refused for their size leave no memory behind, and are not written to their end', async () => {
  const mesh = await openMesh({ workers: 1 })
  serveLab(mesh.workers[0] as (typeof mesh.workers)[0])
  serveLab(mesh.primary)
  await allReady(mesh)
  await until(
    () => mesh.workers[0]?.peer.directory.get(0)?.procedures.has('lab.anything') === true,
    'the worker knows what the primary serves',
  )
  let looks = 0
  const part = {
    get text() {
      looks++
      return 'x'.repeat(1e6)
    },
  }
  const peers = [mesh.primary, ...mesh.workers]
  const outside = async () => {
    await heapInUse()
    return process.memoryUsage().arrayBuffers
  }
  const before = await outside()
  for (const [n, peer] of peers.entries()) {
    const client = peer.client(lab, n === 0 ? {} : { to: 'primary' })
    for (const value of [Array(500).fill(part), new Array(5e8), 'x'.repeat(5e7)])
      expect((await failureOf(client.anything(value))).code).toBe('FRAME_TOO_LARGE')
    expect(looks).toBeLessThan(20)
    looks = 0
    expect(() => peer.publish(lab.gossip, Array(500).fill(part))).toThrow(/a frame may have/)
    expect(looks).toBeLessThan(20)
    looks = 0
    expect(await client.anything(n)).toBe(n)
  }
  expect((await outside()) - before).toBeLessThan(4e6)
})
