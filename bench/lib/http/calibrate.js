// How much work is a millisecond of it, on this machine?

import { performance } from 'node:perf_hooks'

const TRIES = 12
const STEPS = 5_000_000

/** @returns so many steps of `work(steps)` take a millisecond: the best of a few tries, as the machine may be busy */
export function calibrate(work) {
  let best = Number.POSITIVE_INFINITY
  for (let tries = 0; tries < TRIES; tries++) {
    const start = performance.now()
    work(STEPS)
    best = Math.min(best, performance.now() - start)
  }
  return STEPS / best
}
