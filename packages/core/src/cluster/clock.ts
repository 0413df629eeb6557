// Real time, for peers in real processes.

import type { Clock } from '../transport.js'

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    // A waiting call keeps no process alive: its link does.
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}
