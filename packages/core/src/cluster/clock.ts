// Real time, for peers in real processes.

import type { Clock } from '../transport.js'

/** Kept here: to look it up in the global object, where Node has a getter for it, takes as long as to read the clock. */
const { performance } = globalThis

/** Waiting calls keep no process alive: their link does. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}

/** Milliseconds. */
const STEP = 1_000

/**
 * The same for what must happen although nothing else is left to do: a worker that is to be started again. And for patience with others: time in
 * which this process itself was stopped or blocked counts as one step at the most, for whoever is waited for may long have answered.
 */
export const holdingClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    let timer: NodeJS.Timeout
    const wait = (left: number) => {
      const next = () => (left > STEP ? wait(left - STEP) : run())
      timer = setTimeout(next, Math.min(left, STEP))
    }
    wait(ms)
    return () => clearTimeout(timer)
  },
}
