// A request's attempts with workers: which one has it, which ones were lost with it, and whether it may be tried again.

import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type { Member } from '@clusterwire/core/peer'
import { isIdempotent } from '../wire.js'
import type { Desk } from './desk.js'
import type { Load } from './loads.js'

/** One request's attempts. */
export class Attempts {
  readonly #desk: Desk
  /** Workers that were lost with the request. */
  #lost: ReadonlySet<Member> | undefined
  /** How many of them may have begun it. */
  #casualties = 0
  /** The part of the worker that has it; `undefined` when none has. */
  #load: Load | undefined
  /** When that was given it, on the peer's clock. */
  #since = 0
  #begun = false

  constructor(desk: Desk) {
    this.#desk = desk
  }

  get lost(): ReadonlySet<Member> | undefined {
    return this.#lost
  }

  get casualties(): number {
    return this.#casualties
  }

  /** The part of the worker that has it. */
  get load(): Load {
    return this.#load as Load
  }

  /** Milliseconds since a worker was given it. */
  get elapsed(): number {
    return this.#desk.peer.now() - this.#since
  }

  /** A worker is given it. */
  enter(member: Member): void {
    this.#begun = false
    this.#since = this.#desk.peer.now()
    this.#load = this.#desk.loads.enter(member)
  }

  /** The worker has said that the app was given it. */
  started(): void {
    this.#begun = true
  }

  /** No worker has it any more. */
  leave(): void {
    if (this.#load !== undefined) this.#load.active--
    this.#load = undefined
  }

  /** The same, because the worker has failed. `answering`: its response had begun. */
  fail({ code }: ClusterwireError, answering: boolean): void {
    const load = this.#load
    if (load === undefined) return
    this.leave()
    load.errors++
    if (code === 'DEADLINE_EXCEEDED' && !answering) this.#desk.observe(load, this.elapsed)
  }

  /** Another worker is to get it instead of this one. */
  lose(member: Member): void {
    this.#lost = new Set(this.#lost).add(member)
  }

  /** Whether another worker may get it, after the last one has failed. */
  mayRepeat(error: ClusterwireError, method: string): boolean {
    if (!(error instanceof WorkerLostError)) return false
    if (error.started === 'no') return true
    if (!isIdempotent(method)) return !this.#begun
    this.#casualties++
    return this.#casualties <= this.#desk.retries && this.#desk.peer.retries.withdraw()
  }
}
