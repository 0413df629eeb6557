// What a primary tells about its workers.

import type { WorkerExit } from './exit.js'
import type { MainThreadReport } from './watchdog-line.js'
import type { WorkerState } from './worker-process.js'

/** One worker, as `primary.workers` shows it. */
export interface WorkerInfo {
  readonly number: number
  readonly pid: number | undefined
  readonly state: WorkerState
  /** Which reload started it: 0 for those of the start. */
  readonly generation: number
  /** Milliseconds since its process was started. */
  readonly uptime: number
  /** How often a worker was started in this place after another had failed. */
  readonly restarts: number
  /** Calls from the primary that it has not answered. */
  readonly pending: number
  /** Resident memory in bytes, as of its last heartbeat; `undefined` before the first. */
  readonly rss: number | undefined
  /** The share of its last interval in which its event loop was busy, 0 to 1. */
  readonly utilization: number | undefined
}

/** What happens in a cluster's life. */
export interface PrimaryEvents {
  /** A process was started. */
  'worker.fork': [worker: WorkerInfo]
  /** It takes work. */
  'worker.ready': [worker: WorkerInfo]
  /** It has not answered for so many milliseconds: it gets no new work while others are ready. */
  'worker.suspect': [worker: WorkerInfo, silence: { readonly silentMs: number }]
  /** It answers again. */
  'worker.recovered': [worker: WorkerInfo]
  /** It has not answered for so long that it is being killed. `report`: what its main thread was doing, with its stack. */
  'worker.stuck': [
    worker: WorkerInfo,
    details: { readonly silentMs: number; readonly report: MainThreadReport },
  ]
  /** It finishes what it has begun, and then ends. */
  'worker.draining': [worker: WorkerInfo]
  /** It is to be replaced before it does harm. */
  'worker.recycle': [worker: WorkerInfo, details: { readonly reason: string }]
  /** A process ended. `expected`: because it was told to. */
  'worker.exit': [worker: WorkerInfo, exit: WorkerExit & { readonly expected: boolean }]
  /** So many places have failed too often and are left alone for a while. */
  degraded: [details: { readonly resting: number; readonly workers: number }]
  /** All places are in use again. */
  recovered: []
  'reload.start': [details: { readonly generation: number }]
  'reload.done': [details: { readonly generation: number }]
  /** A worker of the new generation did not get ready: the old ones go on. */
  'reload.aborted': [details: { readonly generation: number; readonly error: unknown }]
  scaled: [details: { readonly workers: number }]
  closing: []
}
