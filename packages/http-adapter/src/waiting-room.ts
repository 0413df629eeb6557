// Where requests wait while no worker takes them: first come, first served, bounded in number and in time.

import type { Clock } from '@clusterwire/core/peer'

/** Who waits. */
export interface Waiting {
  /** Tries to go on, or ends: leaves the room and returns `true`, or returns `false` and stays. */
  proceed(): boolean
  /** It has waited too long. It has been removed. */
  expire(): void
}

/** How many may wait, and how long. */
export interface QueueOptions {
  /** Requests that may wait at a time; the next is refused. Default 1000 */
  readonly limit?: number
  /** Milliseconds that a request may wait. Default 5000 */
  readonly timeout?: number
}

/** The queue. All wait equally long, so the first to come is the first to expire, and one timer does. */
export class WaitingRoom {
  readonly #clock: Clock
  readonly #limit: number
  readonly #timeout: number
  /** Everybody's deadline, in the order of arrival, which is the order of the deadlines too. */
  readonly #waiting = new Map<Waiting, number>()
  #stopTimer: (() => void) | undefined
  #advancing = false

  constructor(clock: Clock, { limit = 1000, timeout = 5000 }: QueueOptions = {}) {
    this.#clock = clock
    this.#limit = limit
    this.#timeout = timeout
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Lets one in; `false` when the room is full. */
  add(waiting: Waiting): boolean {
    if (this.#waiting.size >= this.#limit) return false
    this.#waiting.set(waiting, this.#clock.now() + this.#timeout)
    if (this.#stopTimer === undefined) this.#setTimer(this.#timeout)
    return true
  }

  /** Lets one out who no longer waits. */
  delete(waiting: Waiting): boolean {
    return this.#waiting.delete(waiting)
  }

  /** Something has changed: everyone may try, in turn, until one can't go on. */
  advance(): void {
    // Who goes on may end at once, which is a change too: the loop that let it go sees to the rest.
    if (this.#advancing) return
    this.#advancing = true
    try {
      for (const waiting of this.#waiting.keys()) if (!waiting.proceed()) return
    } finally {
      this.#advancing = false
    }
  }

  #setTimer(ms: number): void {
    this.#stopTimer = this.#clock.after(ms, () => this.#expire())
  }

  #expire(): void {
    this.#stopTimer = undefined
    const now = this.#clock.now()
    for (const [waiting, deadline] of this.#waiting) {
      if (deadline > now) return this.#setTimer(deadline - now)
      this.#waiting.delete(waiting)
      waiting.expire()
    }
  }
}
