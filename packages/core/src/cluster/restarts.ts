// When a worker is started again, and when that makes no sense any more.

/** How often workers may fail. */
export interface RestartOptions {
  /** So many failures of one place within `window` are made good; with the next, it is left alone for as long as a window. Default 5 */
  readonly maxRestarts: number
  /** Milliseconds. Default 30 000 */
  readonly window: number
}

const FIRST_DELAY = 100
const LONGEST_DELAY = 10_000

/** The failures of one place in the pool, over a sliding window. */
export class Restarts {
  /** All of them since the start. */
  total = 0
  readonly #options: RestartOptions
  #failures: number[] = []

  constructor(options: RestartOptions) {
    this.#options = options
  }

  /**
   * Notes a failure at `now`, in monotonic milliseconds. The milliseconds to wait before the next start: exponential backoff with full jitter
   * (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), a random time up to 100 ms, doubled with each failure in the
   * window, 10 s at most; `undefined` when there were more of them than may be.
   */
  next(now: number, random: () => number = Math.random): number | undefined {
    const { maxRestarts, window } = this.#options
    this.#failures = this.#failures.filter((time) => now - time < window)
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures.length)
    this.#failures.push(now)
    this.total++
    return this.#failures.length > maxRestarts ? undefined : random() * delay
  }
}
