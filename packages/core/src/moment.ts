// The time of what happens in one go.

import type { Clock } from './transport.js'

const NOW = Promise.resolve()

/**
 * A clock that is read once for all that runs without a pause: for when something came in. What was read together was there together, and
 * reading the clock for each frame was a tenth of a call's processor time at its caller (docs/performance.md). Not for deadlines of what
 * users' code begins, which may have run for long by then.
 */
export class Moment {
  readonly #clock: Clock
  #time: number | undefined
  readonly #pass = () => {
    this.#time = undefined
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds, on the peer's clock. */
  get time(): number {
    if (this.#time === undefined) {
      this.#time = this.#clock.now()
      // As soon as what runs now has come to its end. (queueMicrotask would make an async resource each time.)
      void NOW.then(this.#pass)
    }
    return this.#time
  }
}
