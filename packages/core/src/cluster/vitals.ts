// What a worker says about itself with every heartbeat.

import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import type { Schema } from '../schema.js'
import { shape } from './shape.js'

/** A worker's own numbers. */
export interface Vitals {
  /** Resident memory, in bytes. */
  readonly rss: number
  /** The share of the last interval in which its event loop was busy, 0 to 1. */
  readonly utilization: number
  /** Requests that it has begun to handle since its start. */
  readonly handled: number
  /** Requests that are being handled. */
  readonly serving: number
  /** Handlers that go on although nobody waits for them any more. */
  readonly abandoned: number
}

export const vitalsSchema: Schema<Vitals> = shape({
  rss: 'number',
  utilization: 'number',
  handled: 'number',
  serving: 'number',
  abandoned: 'number',
})

/** What a process measures of itself; each time since the last. Never throws: a worker that answers is none that is silent. */
export function createMeter(): () => Pick<Vitals, 'rss' | 'utilization'> {
  let rss = 0
  let last: EventLoopUtilization = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    try {
      rss = process.memoryUsage.rss()
    } catch {
      // It stands in a file, and this process has opened all that it may: as it was the last time.
    }
    return { rss, utilization }
  }
}
