// Two at random, and of these the better one: by what they have to do, and by how fast they have been lately.
//
// Choosing between two is nearly as good as knowing the best, and unlike the best, two differ from request to request, so that nobody is
// overrun on stale knowledge (M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 12, 2001). The load is
// that of Finagle's peak EWMA (com.twitter.finagle.loadbalancer.PeakEwma; ingress-nginx and Linkerd have the same): an average that goes
// up with a slow answer at once and comes down with time, times what is pending; times up to two for one whose event loop is busy, be it
// with something else than requests.

import { InvalidOptionError } from '@clusterwire/core'
import type { Candidate, Member } from '@clusterwire/core/peer'
import type { Balancer } from './balancer.js'

/** How the policy weighs. */
export interface Random2Options {
  /** Milliseconds after which an old answer weighs 1/e (37 %) of what it did. Default 10 000 */
  readonly decay?: number
}

/** What a worker that has not answered anything yet costs, when it has something pending: more than any that has. */
const UNKNOWN = 1e9

/**
 * Creates the policy that looks at two workers at random and takes the one with the lower load: smoothed latency times pending requests, and up to twice
 * that for one whose event loop is busy.
 * For workers that are not equally fast: `leastPending` gives a slow one as many requests at a time as the others.
 *
 * @throws InvalidOptionError
 */
export function random2({ decay = 10_000 }: Random2Options = {}): Balancer {
  if (!(decay > 0 && decay < Number.POSITIVE_INFINITY))
    throw new InvalidOptionError(`random2({ decay }): milliseconds are allowed, got ${decay}`)
  const costs = new WeakMap<Member, Cost>()
  const load = ({ member }: Candidate, now: number) => {
    const cost = costs.get(member)?.at(now) ?? 0
    if (cost === 0 && member.pending > 0) return UNKNOWN + member.pending
    return cost * (member.pending + 1) * (1 + (member.utilization ?? 0))
  }
  return {
    choose(candidates) {
      const count = candidates.length
      const first = Math.floor(Math.random() * count)
      const one = candidates[first]
      if (count < 2) return one
      const step = 1 + Math.floor(Math.random() * (count - 1))
      const other = candidates[(first + step) % count]
      const now = performance.now()
      return load(one as Candidate, now) <= load(other as Candidate, now) ? one : other
    },
    observe(member, ms) {
      const now = performance.now()
      const cost = costs.get(member)
      if (cost === undefined) costs.set(member, new Cost(decay, ms, now))
      else cost.add(ms, now)
    },
  }
}

/** A smoothed latency. */
class Cost {
  readonly #decay: number
  #ms: number
  /** When it was true. */
  #time: number

  constructor(decay: number, ms: number, now: number) {
    this.#decay = decay
    this.#ms = ms
    this.#time = now
  }

  /** What it is now: a worker that was slow and has not been asked since is forgiven in time. */
  at(now: number): number {
    return this.#ms * Math.exp((this.#time - now) / this.#decay)
  }

  add(ms: number, now: number): void {
    const weight = Math.exp((this.#time - now) / this.#decay)
    this.#ms = ms > this.#ms ? ms : this.#ms * weight + ms * (1 - weight)
    this.#time = now
  }
}
