// How fast a line moves.

import type { Clock } from '@clusterwire/core/peer'

/** What the latest interval counts for in the average. */
const SHARE = 0.1

/** Before so many steps, nothing is said. */
const ENOUGH = 10

/** The smoothed time from one step of a line to the next, since it last was empty. */
export class Pace {
  readonly #clock: Clock
  #last = 0
  #steps = 0
  #interval = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The line begins: whatever it did before says nothing of it. */
  start(): void {
    this.#last = this.#clock.now()
    this.#steps = 0
    this.#interval = 0
  }

  /** One has left it. */
  step(): void {
    const now = this.#clock.now()
    this.#steps++
    // First the mean of all, then a moving one.
    this.#interval += (now - this.#last - this.#interval) * Math.max(SHARE, 1 / this.#steps)
    this.#last = now
  }

  /** Whether it has moved often enough for its interval to mean something. */
  get known(): boolean {
    return this.#steps >= ENOUGH
  }

  /** Milliseconds. */
  get interval(): number {
    return this.#interval
  }
}
