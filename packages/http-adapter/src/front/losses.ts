// The workers that a request was lost with, and whether another one may get it. Made for a request whose worker has failed: few have one.

import type { IncomingMessage } from 'node:http'
import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type { Member } from '@clusterwire/core/peer'
import { isIdempotent } from '../wire.js'
import type { Desk } from './desk.js'
import { type Named, tellOfPoison } from './events.js'
import { type Refusal, Refusals, refusalFor } from './refusal.js'

/** A request that so many workers have died of, or beside, is given to no other, whatever the options say. */
const POISON_AFTER = 2

/** How a request was lost. */
export interface Loss {
  /** The worker that it was with; `undefined` when it had not got there. */
  readonly member: Member | undefined
  /** That worker has said that the app was given it. */
  readonly begun: boolean
  /** All of it can be sent again. */
  readonly held: boolean
}

/** The request, as far as that matters. */
export interface Lost extends Named {
  readonly req: IncomingMessage
}

/** One request's losses. */
export class Losses {
  /** Those that may have begun the request. */
  readonly #casualties: Member[] = []
  readonly #desk: Desk
  readonly #request: Lost

  constructor(desk: Desk, request: Lost) {
    this.#desk = desk
    this.#request = request
  }

  /** Why no other worker gets it after this failure; `undefined` when one does. */
  refusalOf(error: ClusterwireError, { member, begun, held }: Loss): Refusal | undefined {
    if (!(error instanceof WorkerLostError)) return refusalFor(error)
    if (this.#isCertainlyNotBegun(error, begun)) return held ? undefined : refusalFor(error)
    if (!this.#mayRunTwice()) return refusalFor(error)
    if (member !== undefined) this.#casualties.push(member)
    const { retries, peer } = this.#desk
    const deaths = this.#casualties.length
    if (deaths >= POISON_AFTER) return Refusals.poison
    return held && deaths <= retries && peer.retries.withdraw() ? undefined : refusalFor(error)
  }

  /** Tells the operator of a refusal that is none of the everyday ones. */
  tell(refusal: Refusal): void {
    if (refusal === Refusals.poison) tellOfPoison(this.#desk, this.#request, this.#casualties)
  }

  /** Of an idempotent request the worker does not say that it has begun it. */
  #isCertainlyNotBegun({ started }: WorkerLostError, begun: boolean): boolean {
    return started === 'no' || (!isIdempotent(this.#request.method) && !begun)
  }

  #mayRunTwice(): boolean {
    const { req, method } = this.#request
    if (isIdempotent(method)) return true
    const { repeatable, onError } = this.#desk
    try {
      return repeatable?.(req) === true
    } catch (error) {
      onError(error, 'retry.repeatable()')
      return false
    }
  }
}
