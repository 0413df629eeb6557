// Where requests wait while no worker takes them: first come, first served, bounded in number and in time.

import { InvalidOptionError } from '@clusterwire/core'
import type { Clock } from '@clusterwire/core/peer'

/**
 * What came of trying to go on: it has `left` the room; it `stays`, for what only it waits for; or it is `blocked`, because there is
 * nobody for anyone to go to.
 */
export type Progress = 'left' | 'stays' | 'blocked'

/** Who waits. */
export interface Waiting {
  /** Tries to go on, or ends. */
  proceed(): Progress
  /** It has waited too long. It has been removed. */
  expire(): void
}

/** How many may wait, and how long. */
export interface QueueOptions {
  /** Requests that may wait at a time; the next is refused. Default 1000 */
  readonly limit?: number
  /** Milliseconds that a request may wait; 0 to refuse at once what can't be given to a worker. Default 5000 */
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
  /** Something has changed again while everyone tries. */
  #changed = false
  /** The last to try found nobody for anyone to go to: who comes now can't either, and must not overtake. */
  #blocked = false

  /** @throws InvalidOptionError */
  constructor(clock: Clock, { limit = 1000, timeout = 5000 }: QueueOptions = {}) {
    assertRange('limit', limit, Number.POSITIVE_INFINITY)
    assertRange('timeout', timeout, 2 ** 31 - 1)
    this.#clock = clock
    this.#limit = timeout === 0 ? 0 : limit
    this.#timeout = timeout
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Milliseconds that the first in the line has waited; 0 when nobody waits. */
  get oldest(): number {
    for (const deadline of this.#waiting.values())
      return this.#timeout - (deadline - this.#clock.now())
    return 0
  }

  /** Whether one who comes now has to wait in any case. */
  get blocked(): boolean {
    return this.#blocked && this.#waiting.size > 0
  }

  /** Lets one in that has tried to go on; `false` when the room is full. */
  add(waiting: Waiting, progress: Progress): boolean {
    this.#blocked = progress === 'blocked'
    if (this.#waiting.size >= this.#limit) return false
    this.#waiting.set(waiting, this.#clock.now() + this.#timeout)
    if (this.#stopTimer === undefined) this.#setTimer(this.#timeout)
    return true
  }

  /** Lets one out who no longer waits. */
  delete(waiting: Waiting): boolean {
    return this.#waiting.delete(waiting)
  }

  /** Something has changed: everyone may try, in turn, until there is nobody for the next ones to go to. */
  advance(): void {
    this.#changed = true
    // Who goes on may end at once, which is a change too: the loop that let it go sees to the rest.
    if (this.#advancing) return
    this.#advancing = true
    try {
      while (this.#changed) {
        this.#changed = false
        this.#blocked = this.#tryAll()
      }
    } finally {
      this.#advancing = false
    }
  }

  /** Whether there was nobody for somebody to go to. */
  #tryAll(): boolean {
    for (const waiting of this.#waiting.keys()) if (waiting.proceed() === 'blocked') return true
    return false
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

function assertRange(name: string, value: number, most: number): void {
  if (!(value >= 0 && value <= most))
    throw new InvalidOptionError(
      `queue.${name}: a number from 0 to ${most} is allowed, got ${value}`,
    )
}
