// What each worker has of this front's requests, and how it did.

import { Histogram, type Member } from '@clusterwire/core/peer'

/** One worker's part. */
export class Load {
  readonly member: Member
  /** Requests that it was given and whose responses are not over. */
  active = 0
  /** Requests that it was given. */
  requests = 0
  /** Those that it answered with 5xx, or did not answer. */
  errors = 0
  /** Milliseconds from the request to the beginning of its response. */
  readonly latency: Histogram = new Histogram()

  constructor(member: Member) {
    this.member = member
  }
}

/** A request's time with a worker. */
export class Stay {
  readonly load: Load
  /** When it began, on the peer's clock. */
  readonly since: number
  #over = false

  constructor(load: Load, now: number) {
    this.load = load
    this.since = now
    load.active++
    load.requests++
  }

  /** Whether the request does not count among its worker's any more. */
  get over(): boolean {
    return this.#over
  }

  end(): void {
    if (this.#over) return
    this.#over = true
    this.load.active--
  }
}

/** All workers' parts. */
export class Loads {
  readonly #limit: number
  readonly #loads = new Map<Member, Load>()

  /** @param limit requests that each worker may have at a time */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The workers have changed: those that are gone are not kept. */
  prune(): void {
    for (const member of this.#loads.keys()) if (member.state === 'gone') this.#loads.delete(member)
  }

  of(member: Member): Load {
    let load = this.#loads.get(member)
    if (load === undefined) {
      load = new Load(member)
      // One that is gone may still be asked about, by what ends with it; it is not kept.
      if (member.state !== 'gone') this.#loads.set(member, load)
    }
    return load
  }

  /** Whether a limit is set at all. */
  get limited(): boolean {
    return this.#limit !== Number.POSITIVE_INFINITY
  }

  isFree(member: Member): boolean {
    return (this.#loads.get(member)?.active ?? 0) < this.#limit
  }
}
