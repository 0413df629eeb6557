// How many second attempts a peer may make: a share of its calls, so that retries can't multiply a failure.

/** What each call adds, and each retry costs 1. */
const SHARE = 0.2

/** What there is at the start, so that a quiet peer can retry too. */
const RESERVE = 100

/** What there can be at the most: a burst of retries after a quiet spell is still bounded. */
const CAPACITY = 1_000

/** A token bucket that calls fill and retries empty (as Finagle's RetryBudget, and gRPC's retry throttling in proposal A6). */
export class RetryBudget {
  #tokens = RESERVE

  /** A call was made. */
  deposit(): void {
    if (this.#tokens < CAPACITY) this.#tokens += SHARE
  }

  /** Whether a retry may be made; it is then counted. */
  withdraw(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
