// How long to wait before a worker is started again: not at all long at first, longer with each that fails shortly after.

/** Failures older than this no longer count, in milliseconds. */
const WINDOW = 30_000

const FIRST_DELAY = 100
const LONGEST_DELAY = 10_000

/**
 * Exponential backoff with full jitter over a sliding window (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015):
 * the delay is a random one up to 100 ms, doubled for each failure in the last 30 s, 10 s at most.
 */
export class Backoff {
  #failures: number[] = []

  /** Notes a failure at `now`, in monotonic milliseconds. Returns the milliseconds to wait. */
  next(now: number, random: () => number = Math.random): number {
    this.#failures = this.#failures.filter((time) => now - time < WINDOW)
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures.length)
    this.#failures.push(now)
    return random() * delay
  }
}
