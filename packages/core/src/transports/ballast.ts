// Weight for a small heap, while large buffers come and go.
//
// V8 marks all of a heap when it has grown by so much of its own size. What buffers hold outside of it counts as growth, but not as
// size: a process with a heap of 8 MiB, as one that only passes things on has, marks all of it for every 12 to 24 MiB of buffers, and a
// byte stream spends half of its processor time on that. So while much is received, 16 MiB of numbers lie in the heap: they hold no references, and so
// cost nothing to mark. The idea is that of R. Engers, "Go memory ballast" (2019); what it brings stands in docs/performance.md.

import { getHeapStatistics } from 'node:v8'
import type { Clock } from '../transport.js'
import { systemClock } from './clock.js'

const MIB = 1024 * 1024

/** Smaller buffers than this make little garbage beside what else is made with them. */
const LARGE_BYTES = 16 * 1024

/** So much within so long is fast: 80 MiB a second. Each time, a weight is added. */
const STEP_BYTES = 4 * MIB
const STEP_WITHIN = 50

/** Of 1 MiB each, which takes a millisecond to make. */
const WEIGHTS = 16
const NUMBERS = MIB / 8

/** Milliseconds without anything fast after which the weights are dropped. */
const DROP_AFTER = 10_000

/** A heap that may not get as large as this has no room for them. */
const ROOMY_BYTES = 256 * MIB

/** The weights, of which there are none most of the time. */
export class Ballast {
  readonly #clock: Clock
  readonly #weights: number[][] = []
  /** Bytes of the step that has begun, and when it did. */
  #bytes = 0
  #since = 0
  #lastFast = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Bytes in the heap. */
  get size(): number {
    return this.#weights.length * MIB
  }

  /** A buffer of so many bytes was made for what came in, and will soon be garbage. */
  note(bytes: number): void {
    if (bytes < LARGE_BYTES) return
    this.#bytes += bytes
    if (this.#bytes < STEP_BYTES) return
    const now = this.#clock.now()
    if (now - this.#since <= STEP_WITHIN) this.#add(now)
    this.#bytes = 0
    this.#since = now
  }

  #add(now: number): void {
    this.#lastFast = now
    if (this.#weights.length === WEIGHTS || getHeapStatistics().heap_size_limit < ROOMY_BYTES)
      return
    if (this.#weights.length === 0) this.#dropIn(DROP_AFTER)
    this.#weights.push(new Array<number>(NUMBERS).fill(0.5))
  }

  #dropIn(ms: number): void {
    this.#clock.after(ms, () => {
      const left = this.#lastFast + DROP_AFTER - this.#clock.now()
      if (left > 0) this.#dropIn(left)
      else this.#weights.length = 0
    })
  }
}

/** That of this process: it has one heap. */
export const ballast: Ballast = new Ballast(systemClock)
