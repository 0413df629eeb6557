// What tests of peers share: a mesh that is checked for leftovers when its test is over, time that is moved by hand, and waiting.

import { getEventListeners } from 'node:events'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { createMemoryMesh, type MemoryMesh, type MeshOptions } from '@clusterwire/core/testing'
import { expect, onTestFinished } from 'vitest'
import type { Clock } from '../src/transport.js'
import { lab } from './fixtures/lab.js'

/** How long a test waits for what should happen at once. */
const PATIENCE_MS = 5_000

/** Resolves at the next turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Waits, turn by turn, until the condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Waited ${PATIENCE_MS} ms until ${what}`)
    await turn()
  }
}

/** Has everything collected that can be. */
export function collect(): void {
  if (globalThis.gc === undefined) throw new Error('Run with --expose-gc')
  globalThis.gc()
  // The memory of array buffers is freed beside the program after the first, and counted as in use until the second.
  globalThis.gc()
}

/** A promise, and what settles it. */
export interface Deferred<T = void> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...(settle as Omit<Deferred<T>, 'promise'>) }
}

/** What a promise rejects with. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<Failed> {
  try {
    await promise
  } catch (error) {
    return error as Failed
  }
  throw new Error('It was expected to fail')
}

/** An error, with the fields that one of ours may have. */
export type Failed = Error & {
  readonly code: string
  readonly procedure?: string
  readonly started?: 'no' | 'unknown'
  readonly data?: unknown
  readonly size?: number
  readonly limit?: number
  readonly issues?: readonly { readonly message: string }[]
  readonly cause?: Error & { readonly code?: unknown; readonly cause?: unknown }
}

/** Time that stands still until it is moved. */
export class ManualClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>()

  /** Timers that wait. */
  get timers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves time on, and runs what is due on the way, in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
    }
    this.#now = end
  }

  /** Time passes and nothing runs, as in a process that is stopped; what is due by then runs late. */
  pause(ms: number): void {
    this.#now += ms
    this.advance(0)
  }
}

/** An AbortController whose signal nobody may still listen to when the test is over. */
export function controller(): AbortController {
  const made = new AbortController()
  onTestFinished(() => expect(getEventListeners(made.signal, 'abort')).toEqual([]))
  return made
}

/** A mesh that closes when the test is over, after a look at what the test has left behind. */
export async function openMesh(options: MeshOptions = {}): Promise<MemoryMesh> {
  const mesh = await createMemoryMesh(options)
  onTestFinished(async () => {
    try {
      await expectAtRest(mesh)
    } finally {
      await mesh.close()
    }
  })
  return mesh
}

/** Makes all workers ready, and waits until everybody knows. */
export async function allReady(mesh: MemoryMesh): Promise<void> {
  for (const worker of mesh.workers) if (!worker.peer.closed) await worker.ready()
  await everyoneKnows(mesh)
}

/** Waits until every peer knows of each living worker that it is ready, and of no other. */
export async function everyoneKnows(mesh: MemoryMesh): Promise<void> {
  const living = mesh.workers.filter(({ peer }) => !peer.closed).map(({ number }) => number)
  const known = ({ peer }: ClusterPeer) => peer.directory.ready().map(({ number }) => number)
  await until(
    () => livingPeers(mesh).every((one) => String(known(one)) === String(living)),
    'everyone knows who is ready',
  )
}

function livingPeers(mesh: MemoryMesh): ClusterPeer[] {
  return [mesh.primary, ...mesh.workers].filter(({ peer }) => !peer.closed)
}

/** Nothing pending, nothing running, nobody listening, nothing unreported. */
async function expectAtRest(mesh: MemoryMesh): Promise<void> {
  const peers = [mesh.primary, ...mesh.workers]
  const busy = () => peers.filter(({ pending, peer }) => pending > 0 || peer.serving > 0)
  await until(
    () => busy().length === 0,
    `nothing is pending (peers ${busy().map(({ number }) => number)} are busy)`,
  )
  expect(mesh.errors).toEqual([])
  if (mesh.primary.peer.closed) return
  for (const topic of [lab.news, lab.gossip])
    await until(async () => {
      const { outcomes } = await mesh.primary.broadcast(topic, { n: 0 })
      return outcomes.every(({ status }) => status === 'no-subscriber')
    }, `nobody listens to ${topic.name}`)
}
