// What is over leaves nothing behind: no entry, no timer, no listener, no object.

import { getEventListeners } from 'node:events'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { lab } from './fixtures/lab.js'
import { aborted, serveLab } from './fixtures/workbench.js'
import { createSocketLinks } from './socket-pair.js'
import type { CreateLinks } from './suite/scene.js'
import { allReady, collect, failureOf, ManualClock, openMesh, turn, until } from './support.js'

/** The heap in use after everything that can be collected has been. */
async function heapInUse(): Promise<number> {
  for (let n = 0; n < 5; n++) {
    await turn()
    collect()
  }
  return process.memoryUsage().heapUsed
}

async function areCollected(refs: readonly WeakRef<object>[]): Promise<void> {
  await until(() => {
    collect()
    return refs.every((ref) => ref.deref() === undefined)
  }, 'all are collected')
}

interface Load {
  readonly transport: string
  readonly createLinks?: CreateLinks
  readonly rounds: number
  /** Calls of each round. */
  readonly calls: number
}

const loads: readonly Load[] = [
  { transport: 'memory', rounds: 100, calls: 10_000 },
  { transport: 'sockets', createLinks: createSocketLinks, rounds: 40, calls: 2_500 },
]

for (const { transport, createLinks, rounds, calls } of loads)
  test(`must pass 5: ${rounds * calls} calls over ${transport} that succeed, fail, time out, are aborted or lose their worker leave no growth`, async () => {
    withoutStacks()
    const clock = new ManualClock()
    const mesh = await openMesh({ workers: 1, clock, ...(createLinks && { createLinks }) })
    const stays = new AbortController()
    const staff = (worker: MeshPeer) =>
      serveLab(worker, {
        greet: ({ name }, { errors }) => {
          throw errors.UNKNOWN_NAME({ name, known: [] })
        },
        hold: (_input, { signal }) => aborted(signal),
      })
    const [steady] = mesh.workers as [MeshPeer]
    serveLab(mesh.primary)
    staff(steady)
    await allReady(mesh)
    const ends = new Map<string, number>()
    const note = (call: Promise<unknown>) =>
      call.then(
        () => count('answered'),
        ({ code }) => count(code),
      )
    const count = (end: string) => ends.set(end, (ends.get(end) ?? 0) + 1)

    /** A worker comes, a twentieth of the calls ends in each way that is not an answer, and the worker dies. */
    const round = async () => {
      const worker = await mesh.addWorker()
      staff(worker)
      await worker.ready()
      const any = mesh.primary.client(lab)
      const doomed = mesh.primary.client(lab, { to: worker.number })
      const back = worker.client(lab, { to: 'primary' })
      const leaves = new AbortController()
      const settled = Array.from({ length: calls / 20 }, (_, n) => [
        note(any.greet({ name: 'Bob', times: 1 })),
        note(any.hold(n, { timeout: 5 })),
        note(any.hold(n, { signal: leaves.signal })),
        note(any.anything(() => n)),
        note(doomed.hold(n)),
        ...Array.from({ length: 10 }, () => note(any.anything(n, { signal: stays.signal }))),
        ...Array.from({ length: 5 }, () => note(back.anything(n))),
      ]).flat()
      // What is left are those that nobody answers: a timeout, an abort and a death in each twenty.
      const unanswered = (calls / 20) * 3
      await until(
        () => worker.pending === 0 && mesh.primary.pending === unanswered,
        'all others are settled',
      )
      leaves.abort()
      clock.advance(6)
      await until(() => mesh.primary.pending === calls / 20, 'those of the worker are left')
      worker.kill()
      await Promise.all(settled)
      mesh.workers.pop()
    }

    const warmUp = rounds / 5
    for (let n = 0; n < warmUp; n++) await round()
    const before = await heapInUse()
    for (let n = warmUp; n < rounds; n++) await round()
    const after = await heapInUse()
    const twentieth = (rounds * calls) / 20
    expect(Object.fromEntries(ends)).toEqual({
      answered: 15 * twentieth,
      UNKNOWN_NAME: twentieth,
      DEADLINE_EXCEEDED: twentieth,
      CANCELLED: twentieth,
      INVALID_VALUE: twentieth,
      WORKER_LOST: twentieth,
    })
    // An empty object for each of the calls would be 2 MB with the fewer, 20 MB with the more.
    expect((after - before) / 1024 / 1024).toBeLessThan(1.5)
    expect([mesh.primary.pending, steady.pending]).toEqual([0, 0])
    await until(() => mesh.primary.peer.serving + steady.peer.serving === 0, 'no handler is left')
    expect(getEventListeners(stays.signal, 'abort')).toEqual([])
    await mesh.close()
    await until(() => steady.peer.closed, 'the last worker is gone')
    expect(clock.timers).toBe(0)
  }, 240_000)

/** Errors without stack traces until the test is over: with them, most of its time would go into making these. */
function withoutStacks(): void {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  onTestFinished(() => {
    Error.stackTraceLimit = stackTraceLimit
  })
}

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
