// What all requests of a front share.

import { EventEmitter } from 'node:events'
import type { ClusterwireError } from '@clusterwire/core'
import type { Member, Peer } from '@clusterwire/core/peer'
import type { Balancer } from '../balancer/balancer.js'
import { leastPending } from '../balancer/turns.js'
import { type OnError, printError } from '../errors.js'
import { type QueueOptions, WaitingRoom } from '../waiting-room.js'
import { TimeLimits } from './deadline.js'
import type { FrontEvents } from './events.js'
import { assertLimit, type Limits } from './limits.js'
import { Loads, type Stay } from './loads.js'
import type { FrontOptions, RetryOptions } from './options.js'
import { recaller } from './recall.js'
import type { Refusal } from './refusal.js'
import type { Workers } from './workers.js'

/** What has happened so far. */
export interface Counters {
  /** Requests that came in. */
  requests: number
  /** Requests that were given to another worker because one was lost. */
  retried: number
  /** Requests that were taken back from a worker that did not answer, before it had begun them, and were given to another. */
  recalled: number
  /** Requests that the front answered itself, with an error. */
  refused: number
  /** Requests whose client went away before the answer. */
  abandoned: number
  /** Responses that ended in the middle: their worker was lost, or their time was up. */
  cut: number
}

/** A connection that is upgraded, or about to be. */
export interface Upgraded {
  /** The front closes: the worker is to bring the conversation to its end. */
  goodbye(): void
}

/** The front's desk. */
export class Desk {
  readonly peer: Peer
  readonly workers: Workers
  readonly balancer: Balancer
  readonly room: WaitingRoom
  /** `undefined` where all are equal. */
  readonly priority: QueueOptions['priority']
  /** How often an idempotent request may be given to another worker after one has died of it, or beside it. */
  readonly retries: number
  /** Which requests besides count as idempotent. */
  readonly repeatable: RetryOptions['repeatable']
  readonly onError: OnError
  readonly events: EventEmitter<FrontEvents> = new EventEmitter()
  readonly loads: Loads
  /** `undefined` where requests have all the time they want. */
  readonly timeLimits: TimeLimits | undefined
  /** `undefined` where requests may be of any size. */
  readonly limits: Required<Limits> | undefined
  readonly counters: Counters = {
    requests: 0,
    retried: 0,
    recalled: 0,
    refused: 0,
    abandoned: 0,
    cut: 0,
  }
  /** Responses that clients were given, by the first digit of their status. */
  readonly responses: number[] = [0, 0, 0, 0, 0, 0]
  /** Requests that the front answered itself, by the reason's code. */
  readonly refusedBy: Map<string, number> = new Map()
  /** Those that are open, the waiting ones included. */
  readonly tunnels: Set<Upgraded> = new Set()
  /** Whether connections are to end with the response that is on them. */
  closing = false
  active = 0
  #onIdle: (() => void) | undefined
  readonly #recall: () => void
  /** Nobody keeps this any more, except those whose requests still come. */
  #retired = false
  /** Ends that changes of the workers are heard of; undefined while they are not. */
  #forgetWorkers: (() => void) | undefined

  /** @throws InvalidOptionError */
  constructor(peer: Peer, options: FrontOptions, workers: Workers) {
    const { balance = leastPending(), queue, retry, onError = printError } = options
    const { concurrency = Number.POSITIVE_INFINITY, timeout = 0, deadline } = options
    const { maxBodyBytes = Number.POSITIVE_INFINITY, maxUrlLength = Number.POSITIVE_INFINITY } =
      options
    assertLimit('concurrency', concurrency, 1)
    assertLimit('maxBodyBytes', maxBodyBytes, 0)
    assertLimit('maxUrlLength', maxUrlLength, 1)
    this.peer = peer
    this.workers = workers
    this.balancer = balance
    this.onError = onError
    this.room = new WaitingRoom(peer.clock, queue)
    this.priority = queue?.priority
    this.retries = retry?.idempotent ?? 1
    this.repeatable = retry?.repeatable
    this.loads = new Loads(concurrency)
    this.#recall = recaller(peer, workers)
    if (timeout !== 0 || deadline !== undefined)
      this.timeLimits = new TimeLimits(timeout, deadline ?? {})
    if (Number.isFinite(maxBodyBytes) || Number.isFinite(maxUrlLength))
      this.limits = { maxBodyBytes, maxUrlLength }
    this.#heedWorkers()
  }

  /** A request begins. */
  entered(): void {
    this.active++
    if (this.#forgetWorkers === undefined) this.#heedWorkers()
  }

  /** A worker has begun to answer. */
  responded({ load, since }: Stay, status: number): void {
    const ms = this.peer.moment.time - since
    load.latency.record(ms)
    if (status >= 500 || status === 0) load.errors++
    this.#count(status)
    if (this.balancer.observe !== undefined) this.#observe(load.member, ms)
  }

  /** A worker has failed. `answering`: its response had begun. */
  failed(stay: Stay, { code }: ClusterwireError, answering: boolean): void {
    if (stay.over) return
    stay.end()
    stay.load.errors++
    if (code === 'DEADLINE_EXCEEDED' && !answering)
      this.#observe(stay.load.member, this.peer.moment.time - stay.since)
  }

  /** The front has answered itself. */
  refused({ status, code }: Refusal): void {
    this.counters.refused++
    this.refusedBy.set(code, (this.refusedBy.get(code) ?? 0) + 1)
    this.#count(status)
  }

  /** A request is over. */
  settled(): void {
    this.active--
    if (this.room.size > 0) this.room.advance()
    if (this.active > 0) return
    this.#onIdle?.()
    if (this.#retired) this.#ignoreWorkers()
  }

  /** Lets `idle` resolve at once. */
  giveUp(): void {
    this.#onIdle?.()
  }

  /** Resolves when no request is left. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve
      if (this.active === 0) resolve()
    })
  }

  /** The front is closed: while no request is left, the workers' peer keeps nothing of it. */
  retire(): void {
    this.#retired = true
    if (this.active === 0) this.#ignoreWorkers()
  }

  #heedWorkers(): void {
    const changed = () => {
      this.loads.prune()
      this.room.advance()
      this.#recall()
    }
    this.#forgetWorkers = this.workers.onChange(changed)
    changed()
  }

  #ignoreWorkers(): void {
    this.#forgetWorkers?.()
    this.#forgetWorkers = undefined
  }

  /** Lets the balancer know how long a worker has taken. */
  #observe(member: Member, ms: number): void {
    try {
      this.balancer.observe?.(member, ms)
    } catch (error) {
      this.onError(error, 'balance.observe()')
    }
  }

  #count(status: number): void {
    const first = Math.floor(status / 100)
    this.responses[first] = (this.responses[first] ?? 0) + 1
  }
}
