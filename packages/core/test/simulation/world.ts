// A simulated cluster: does what the operations say, and notes what came of it.

import { contract, procedure, stream, topic } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import {
  createMemoryMesh,
  type MemoryMesh,
  type MeshOptions,
  type MeshPeer,
  settle,
  TestClock,
} from '@clusterwire/core/testing'
import { expect } from 'vitest'
import { z } from 'zod'
import type { Failed } from '../support.js'
import {
  type BroadcastNote,
  type Call,
  checkBroadcasts,
  checkCalls,
  checkPublications,
} from './invariants.js'
import { type Operation, TIMEOUT, type Who } from './operations.js'

const request = z.object({ nonce: z.int(), hold: z.int() })
const answer = z.object({ nonce: z.int() })

const sim = contract('sim', {
  once: procedure({ input: request, output: answer, timeout: TIMEOUT }),
  again: procedure({ input: request, output: answer, timeout: TIMEOUT, idempotent: true }),
  count: stream({
    input: z.object({ nonce: z.int(), length: z.int() }),
    output: z.object({ nonce: z.int(), n: z.int() }),
    timeout: TIMEOUT,
  }),
  news: topic(z.object({ from: z.int(), n: z.int() })),
})

export class World {
  readonly clock = new TestClock()
  readonly #calls: Call[] = []
  readonly #broadcasts: BroadcastNote[] = []
  /** How often each call's handler was entered. */
  readonly #runs = new Map<number, number>()
  /** What each peer has heard, by who said it. */
  readonly #heard = new Map<string, number[]>()
  readonly #published = new Map<number, number>()
  readonly #ready = new Set<number>()
  readonly #gone = new Set<number>()
  /** Handlers that worked on although their caller had long given up. */
  #overslept = 0
  #mesh!: MemoryMesh

  static async open(options: MeshOptions = {}): Promise<World> {
    const world = new World()
    world.#mesh = await createMemoryMesh({ clock: world.clock, ...options, workers: 0 })
    world.#listen(world.#mesh.primary)
    for (let n = 0; n < 3; n++) await world.#add()
    await settle()
    return world
  }

  async do(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'call': {
        const { from, again, hold, to } = operation
        const kind = again ? 'again' : 'once'
        const target = to === undefined || to === 0 ? {} : { to: this.#worker(to).number }
        this.#start(kind, hold < TIMEOUT, (nonce, signal) => {
          const client = this.#peer(from).client(sim, target)
          return {
            expected: [{ nonce }],
            got: client[kind]({ nonce, hold }, { signal }).then((one) => [one]),
          }
        })
        break
      }
      case 'stream': {
        const { from, length } = operation
        this.#start('count', true, (nonce, signal) => ({
          expected: Array.from({ length }, (_, n) => ({ nonce, n })),
          got: collect(this.#peer(from).client(sim).count({ nonce, length }, { signal })),
        }))
        break
      }
      case 'publish':
      case 'broadcast':
        this.#publish(this.#peer(operation.from), operation.kind)
        break
      case 'cancel':
        this.#calls[operation.nth]?.controller.abort()
        break
      case 'kill':
      case 'cut':
        this.#gone.add(this.#worker(operation.worker).number)
        this.#worker(operation.worker)[operation.kind]()
        break
      case 'freeze':
      case 'thaw':
        this.#worker(operation.worker)[operation.kind]()
        break
      case 'delay':
        this.#worker(operation.worker).delay(operation.ms)
        break
      case 'add':
        await this.#add()
        break
      case 'advance':
        await this.clock.advance(operation.ms)
        break
      case 'turn':
        await settle()
    }
  }

  /** Lets everything come to its end, closes, and checks what must hold after every run. */
  async finish({ healthy, faults = true }: { healthy: boolean; faults?: boolean }): Promise<void> {
    if (faults)
      for (const worker of this.#mesh.workers) {
        worker.delay(0)
        worker.thaw()
      }
    // Longer than any deadline.
    await this.clock.advance(60_000)
    checkCalls(this.#calls, this.#runs, healthy)
    checkPublications(this.#heard)
    checkBroadcasts(this.#broadcasts)
    if (healthy) expect(this.#overslept, 'handlers that nobody stopped').toBe(0)
    const peers = [this.#mesh.primary, ...this.#mesh.workers]
    for (const { number, pending, peer } of peers)
      expect({ number, pending, serving: peer.serving }, 'at rest').toEqual({
        number,
        pending: 0,
        serving: 0,
      })
    expect(this.#mesh.errors, 'unreported errors').toEqual([])
    const links = this.#mesh.primary.peer.directory
      .all()
      .map((one) => this.#mesh.primary.peer.linkTo(one).queued)
    expect(
      links.every((queued) => queued === 0),
      'nothing queued',
    ).toBe(true)
    await this.#mesh.close()
    await settle()
    expect(this.clock.waiting, 'timers after close').toBe(0)
  }

  #start(
    kind: Call['kind'],
    feasible: boolean,
    begin: (nonce: number, signal: AbortSignal) => { expected: unknown[]; got: Promise<unknown[]> },
  ): void {
    const nonce = this.#calls.length + 1
    const controller = new AbortController()
    const call: Call = {
      kind,
      nonce,
      controller,
      feasible,
      settled: 0,
      took: 0,
      values: [],
      expected: [],
      error: undefined,
    }
    this.#calls.push(call)
    const start = this.clock.now()
    const settle = () => {
      call.settled++
      call.took = this.clock.now() - start
    }
    const run = async () => {
      const { expected, got } = begin(nonce, controller.signal)
      call.expected = expected
      call.values = await got
    }
    run().then(settle, (error: Failed) => {
      settle()
      call.error = error
    })
  }

  #publish(peer: ClusterPeer, how: 'publish' | 'broadcast'): void {
    if (peer.peer.closed) return
    const n = (this.#published.get(peer.number) ?? 0) + 1
    this.#published.set(peer.number, n)
    const value = { from: peer.number, n }
    if (how === 'publish') return peer.publish(sim.news, value)
    // One that the primary has not yet seen the end of may still be told of.
    const known = new Set(this.#mesh.primary.peer.directory.all().map(({ number }) => number))
    const goneBefore = new Set([...this.#gone].filter((number) => !known.has(number)))
    const note: BroadcastNote = {
      goneBefore,
      settled: 0,
      took: 0,
      members: [],
      readySoFar: new Set(),
    }
    this.#broadcasts.push(note)
    const start = this.clock.now()
    const done = () => {
      note.settled++
      note.took = this.clock.now() - start
      note.readySoFar = new Set(this.#ready)
    }
    peer.broadcast(sim.news, value, { timeout: TIMEOUT }).then(
      ({ outcomes }) => {
        note.members = outcomes.map(({ member }) => member.number)
        done()
      },
      (error: Failed) => {
        note.error = error
        done()
      },
    )
  }

  async #add(): Promise<void> {
    const worker = await this.#mesh.addWorker()
    this.#listen(worker)
    const work = (
      { nonce, hold }: z.infer<typeof request>,
      { signal }: { signal: AbortSignal },
    ) => {
      this.#enter(nonce)
      return hold === 0 ? { nonce } : this.#sleep(hold, signal).then(() => ({ nonce }))
    }
    const enter = (nonce: number) => this.#enter(nonce)
    worker.serve(sim, {
      once: work,
      again: work,
      async *count({ nonce, length }) {
        enter(nonce)
        for (let n = 0; n < length; n++) yield { nonce, n }
      },
    })
    this.#ready.add(worker.number)
    worker.ready().catch(() => {}) // It was killed first.
  }

  #enter(nonce: number): void {
    this.#runs.set(nonce, (this.#runs.get(nonce) ?? 0) + 1)
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = this.clock.after(ms, () => {
        if (ms > TIMEOUT) this.#overslept++
        resolve()
      })
      signal.addEventListener('abort', () => {
        forget()
        reject(signal.reason)
      })
    })
  }

  #listen(peer: ClusterPeer): void {
    peer.subscribe(sim.news, ({ from, n }) => {
      const way = `${from} to ${peer.number}`
      this.#heard.set(way, [...(this.#heard.get(way) ?? []), n])
    })
  }

  #peer(who: Who): ClusterPeer {
    return who === 0 ? this.#mesh.primary : this.#worker(who)
  }

  #worker(who: Who): MeshPeer {
    const { workers } = this.#mesh
    return workers[Math.max(0, who - 1) % workers.length] as MeshPeer
  }
}

async function collect(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const value of values) all.push(value)
  return all
}
