// What can go wrong on the way between the primary and one worker of a mesh.

import type { Clock } from '../transport.js'

/** Decides when what is sent over a link arrives. */
export class Way {
  readonly #clock: Clock
  #delay = 0
  #frozen = false
  /** What waits for the thaw, in order. */
  readonly #held: (() => void)[] = []
  /** When the last of what is under way arrives: nothing overtakes on a link. */
  #lastArrival = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds that everything takes from now on. */
  set delay(ms: number) {
    this.#delay = ms
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    for (const run of this.#held.splice(0)) queueMicrotask(run)
  }

  /** What was held is lost; from now on nothing is held any more: not even a stopped process keeps its end from being seen. */
  cut(): void {
    this.#frozen = false
    this.#held.length = 0
  }

  /** Brings something to the other side, in its time. */
  readonly schedule = (run: () => void): void => {
    const now = this.#clock.now()
    const arrival = Math.max(now + this.#delay, this.#lastArrival)
    this.#lastArrival = arrival
    if (arrival <= now) return queueMicrotask(() => this.#arrive(run))
    this.#clock.after(arrival - now, () => this.#arrive(run))
  }

  #arrive(run: () => void): void {
    if (this.#frozen) this.#held.push(run)
    else run()
  }
}
