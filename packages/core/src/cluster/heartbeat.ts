// Whether a worker still answers. What counts is answers that were missed while this process itself was running, never the time on a clock:
// a primary that was stopped for a while must not take all its workers for dead.

import type { Clock } from '../transport.js'

/** How often a worker is asked, and what its silence means. */
export interface LivenessOptions {
  /** Milliseconds between two questions. Default 1 000 */
  readonly interval: number
  /** Milliseconds of silence after which it gets no new work as long as others are ready: it is suspect. Default 2 000 */
  readonly suspectAfter: number
  /** Milliseconds of silence after which it is stuck, and is ended. Default 10 000 */
  readonly stuckAfter: number
}

/** What a heartbeat needs, and whom it tells. */
export interface HeartbeatParts<T> extends LivenessOptions {
  readonly clock: Clock
  /** Asks. Rejects when there is nobody left to answer; there is one question at a time. */
  ask(): Promise<T>
  answered(answer: T): void
  suspect(silentMs: number): void
  /** It answers again. */
  recovered(): void
  /** Told again whenever as much time has passed once more. */
  stuck(silentMs: number): void
}

/** One worker's heartbeat. */
export class Heartbeat<T> {
  readonly #parts: HeartbeatParts<T>
  #lastTick: number
  /** Questions that are not answered: 0 or 1. */
  #asking = false
  /** Milliseconds that it has not answered, as far as this process was there to see it. */
  #silent = 0
  #suspected = false
  /** At how much silence it is stuck, next time. */
  #stuckAt: number
  #cancel: () => void
  #stopped = false

  /** Begins at once. */
  constructor(parts: HeartbeatParts<T>) {
    this.#parts = parts
    this.#lastTick = parts.clock.now()
    this.#stuckAt = parts.stuckAfter
    this.#cancel = this.#later()
    this.#ask()
  }

  /** Ends it: an answer that comes all the same says nothing any more. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #later(): () => void {
    const { clock, interval } = this.#parts
    return clock.after(interval, () => this.#tick())
  }

  #tick(): void {
    const { clock, interval, suspectAfter, stuckAfter } = this.#parts
    const now = clock.now()
    const passed = now - this.#lastTick
    this.#lastTick = now
    this.#cancel = this.#later()
    if (!this.#asking) return this.#ask()
    // Late itself by more than one interval: the answer may have been waiting here all the time, unread.
    if (passed > 2 * interval) return
    this.#silent += passed
    if (this.#silent >= suspectAfter && !this.#suspected) {
      this.#suspected = true
      this.#parts.suspect(this.#silent)
    }
    if (this.#silent < this.#stuckAt) return
    this.#stuckAt += stuckAfter
    this.#parts.stuck(this.#silent)
  }

  #ask(): void {
    this.#asking = true
    this.#parts.ask().then(
      (answer) => this.#answered(answer),
      () => this.stop(), // It is gone, which others tell.
    )
  }

  #answered(answer: T): void {
    if (this.#stopped) return
    this.#asking = false
    this.#silent = 0
    this.#stuckAt = this.#parts.stuckAfter
    this.#parts.answered(answer)
    if (!this.#suspected) return
    this.#suspected = false
    this.#parts.recovered()
  }
}
