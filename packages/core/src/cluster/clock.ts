// Real time, for peers in real processes.

import type { Clock } from '../transport.js'

/** Waiting calls keep no process alive: their link does. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}

/** The same for what must happen although nothing else is left to do: a worker that is to be started again. */
export const holdingClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
