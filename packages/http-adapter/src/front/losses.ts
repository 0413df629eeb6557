// The workers that a request was lost with, and whether another one may get it. Made for a request whose worker has failed: few have one.

import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type { Member } from '@clusterwire/core/peer'
import { isIdempotent } from '../wire.js'
import type { Desk } from './desk.js'

/** A request that so many workers have died of, or beside, is given to no other, whatever the options say. */
const POISON_AFTER = 2

/** One request's losses. */
export class Losses {
  /** The workers. */
  readonly members: Set<Member> = new Set()
  /** How many of them may have begun the request. */
  casualties = 0
  readonly #desk: Desk

  constructor(desk: Desk) {
    this.#desk = desk
  }

  /** Whether another worker may get it after this failure. `begun`: the last one has said that the app was given it. */
  mayRepeat(error: ClusterwireError, method: string, begun: boolean): boolean {
    if (!(error instanceof WorkerLostError)) return false
    if (error.started === 'no') return true
    if (!isIdempotent(method)) return !begun
    this.casualties++
    if (this.casualties >= POISON_AFTER) return false
    return this.casualties <= this.#desk.retries && this.#desk.peer.retries.withdraw()
  }
}
