// The load generator: keeps a fixed number of calls in flight for a while, and tells how many were done and how long they took.
// It runs where the caller is, which may be a worker: all of a result is plain data.

import { createHistogram, performance } from 'node:perf_hooks'

/** Beyond one in flight, every so many calls one is timed: reading the clock twice for each would show in the result. A prime, so that
 * the calls timed are not always the same ones of a burst. */
const TIME_EVERY = 13

/**
 * @param {(input: unknown) => Promise<unknown>} call
 * @param {{ inFlight: number, milliseconds: number, input: unknown }} load
 * @returns {Promise<{ ops: number, seconds: number, p50Micros: number, p99Micros: number }>}
 */
export async function drive(call, { inFlight, milliseconds, input }) {
  const every = inFlight === 1 ? 1 : TIME_EVERY
  const nanoseconds = createHistogram()
  const start = performance.now()
  const end = start + milliseconds
  let begun = 0
  let over = false

  // One of these for each call in flight. The clock that ends the run is read along with a call that is timed.
  async function caller() {
    while (!over) {
      if (++begun % every !== 0) {
        await call(input)
        continue
      }
      const before = performance.now()
      await call(input)
      const after = performance.now()
      nanoseconds.record(Math.max(1, Math.round((after - before) * 1e6)))
      if (after >= end) over = true
    }
  }

  await Promise.all(Array.from({ length: inFlight }, caller))
  return {
    ops: begun,
    seconds: (performance.now() - start) / 1000,
    p50Micros: nanoseconds.percentile(50) / 1000,
    p99Micros: nanoseconds.percentile(99) / 1000,
  }
}
