// Time that stands still until a test moves it.

import type { Clock } from '../transport.js'

interface Timer {
  readonly due: number
  readonly order: number
  readonly run: () => void
}

/** A clock whose time passes only when `advance` is called. */
export class TestClock implements Clock {
  #now = 0
  #orders = 0
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { due: this.#now + Math.max(0, ms), order: this.#orders++, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that have not run. */
  get waiting(): number {
    return this.#timers.size
  }

  /**
   * Lets so many milliseconds pass: runs the timers that come due, each at its own time, in order. Between two of them everything that they
   * have set off runs first: promises, and frames between the peers of a mesh.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.run()
      await settle()
    }
    this.#now = end
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers)
      if (timer.due <= end && (next === undefined || isBefore(timer, next))) next = timer
    return next
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.due < other.due || (one.due === other.due && one.order < other.order)
}

/** A turn of the event loop: all promises that can settle by themselves have done so, several calls deep. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
