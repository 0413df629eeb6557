// Which workers are to be replaced before they do harm: those that have grown, are old, or have done enough.

import type { Vitals } from './vitals.js'

/** When a worker is replaced, by one that is ready before it goes. */
export interface RecycleOptions {
  /** Bytes of resident memory. Default: no limit */
  readonly maxRss?: number | undefined
  /** Milliseconds since its start. Default: no limit */
  readonly maxAge?: number | undefined
  /** Requests that it has handled. Default: no limit */
  readonly maxRequests?: number | undefined
  /** Handlers that go on although nobody waits for them any more. Default 1 000 */
  readonly maxAbandoned?: number | undefined
}

/** The share of each limit, at the most, by which a worker's own limit is lower: or all that were started together would go together. */
const JITTER = 0.2

/** One worker's limits. */
export class Limits {
  readonly #options: RecycleOptions
  readonly #share: number

  constructor(options: RecycleOptions, random: () => number = Math.random) {
    this.#options = options
    this.#share = 1 - JITTER * random()
  }

  /** Why this worker is to be replaced; undefined when it is not. @param age in milliseconds */
  exceeded({ rss, handled, abandoned }: Vitals, age: number): string | undefined {
    const { maxRss, maxAge, maxRequests, maxAbandoned = 1_000 } = this.#options
    if (this.#over(rss, maxRss)) return `it has ${Math.round(rss / 2 ** 20)} MiB of memory`
    if (this.#over(age, maxAge)) return `it is ${Math.round(age / 1_000)} s old`
    if (this.#over(handled, maxRequests)) return `it has handled ${handled} requests`
    // Without jitter: a count of faults, and not of time.
    if (abandoned > maxAbandoned) return `${abandoned} of its handlers never end`
    return undefined
  }

  #over(value: number, limit: number | undefined): boolean {
    return limit !== undefined && value > limit * this.#share
  }
}
