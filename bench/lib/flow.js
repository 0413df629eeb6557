// The clock for what flows instead of being called: counts what arrives for a while, and tells how much it was.

import { performance } from 'node:perf_hooks'

/** The clock is read with every so many of them. */
const LOOK_EVERY = 16

export class Flow {
  #ops = 0
  #start = performance.now()
  #end

  /** @param {number} milliseconds how long it goes on */
  constructor(milliseconds) {
    this.#end = this.#start + milliseconds
  }

  /** One has arrived, or a part of one. @returns whether it is over */
  count(ops = 1) {
    const before = this.#ops
    this.#ops += ops
    if (Math.floor(before / LOOK_EVERY) === Math.floor(this.#ops / LOOK_EVERY)) return false
    return performance.now() >= this.#end
  }

  /** There is no latency of one: it is one long answer. */
  result() {
    const seconds = (performance.now() - this.#start) / 1000
    return { ops: this.#ops, seconds, p50Micros: null, p99Micros: null }
  }
}
