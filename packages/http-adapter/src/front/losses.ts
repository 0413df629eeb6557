// The workers that a request was lost with, and whether another one may get it. Made for a request whose worker has failed: few have one.

import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type { Member } from '@clusterwire/core/peer'
import { isIdempotent } from '../wire.js'
import type { Desk } from './desk.js'

/** A request that so many workers have died of, or beside, is given to no other, whatever the options say. */
const POISON_AFTER = 2

/** How a request was lost. */
export interface Loss {
  readonly method: string
  /** The worker has said that the app was given it. */
  readonly begun: boolean
  /** `undefined` when it had not got there. */
  readonly member: Member | undefined
}

/** One request's losses. */
export class Losses {
  /** The workers. */
  readonly members: Set<Member> = new Set()
  /** Those of them that may have begun the request. */
  readonly casualties: Member[] = []
  readonly #desk: Desk

  constructor(desk: Desk) {
    this.#desk = desk
  }

  /** Whether so many have died of it, or beside it, that no other may get it. */
  get poisonous(): boolean {
    return this.casualties.length >= POISON_AFTER
  }

  /** Whether another worker may get it after this failure. */
  mayRepeat(error: ClusterwireError, { method, begun, member }: Loss): boolean {
    if (member !== undefined) this.members.add(member)
    if (!(error instanceof WorkerLostError)) return false
    if (error.started === 'no') return true
    if (!isIdempotent(method)) return !begun
    if (member !== undefined) this.casualties.push(member)
    if (this.poisonous) return false
    return this.casualties.length <= this.#desk.retries && this.#desk.peer.retries.withdraw()
  }
}
