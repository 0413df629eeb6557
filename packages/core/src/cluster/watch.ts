// One worker under observation, from ready to its end: does it answer, and is it still fit?

import type { Clock } from '../transport.js'
import { Heartbeat, type LivenessOptions } from './heartbeat.js'
import { Limits, type RecycleOptions } from './recycle.js'
import type { Vitals } from './vitals.js'
import type { MainThreadReport } from './watchdog-line.js'
import type { WorkerProcess } from './worker-process.js'

/** Milliseconds after which a worker that could not be replaced is tried to be replaced again. */
const TRY_AGAIN_AFTER = 30_000

/** How workers are watched, and who is told. */
export interface WatchParts {
  readonly clock: Clock
  readonly liveness: LivenessOptions
  readonly recycle: RecycleOptions
  /** Asks the worker how it is. */
  beat(): Promise<Vitals>
  suspect(silentMs: number): void
  recovered(): void
  /** It has said how it is. */
  vitals(vitals: Vitals): void
  /** It is about to be killed. */
  stuck(silentMs: number, report: MainThreadReport): void
  /** It is to be replaced. */
  unfit(reason: string): void
}

/** The watch on one worker. */
export class Watch {
  readonly #worker: WorkerProcess
  readonly #parts: WatchParts
  readonly #heartbeat: Heartbeat<Vitals>
  readonly #limits: Limits
  /** When its being unfit may be told (again). */
  #tellAt = 0

  constructor(worker: WorkerProcess, parts: WatchParts) {
    this.#worker = worker
    this.#parts = parts
    this.#limits = new Limits(parts.recycle)
    this.#heartbeat = new Heartbeat({
      ...parts.liveness,
      clock: parts.clock,
      ask: () => parts.beat(),
      answered: (vitals) => this.#answered(vitals),
      suspect: (silentMs) => worker.move('suspect') && parts.suspect(silentMs),
      recovered: () => worker.move('ready') && parts.recovered(),
      stuck: (silentMs) => void this.#endStuck(silentMs),
    })
  }

  stop(): void {
    this.#heartbeat.stop()
  }

  #answered(vitals: Vitals): void {
    const now = this.#parts.clock.now()
    this.#worker.noteVitals(vitals)
    this.#parts.vitals(vitals)
    const reason = this.#limits.exceeded(vitals, now - this.#worker.startedAt)
    if (reason === undefined || now < this.#tellAt || this.#worker.isToEnd) return
    this.#tellAt = now + TRY_AGAIN_AFTER
    this.#parts.unfit(reason)
  }

  async #endStuck(silentMs: number): Promise<void> {
    const worker = this.#worker
    const report = (await worker.watchdog?.inspect()) ?? { state: 'unknown' }
    // It may have ended meanwhile, or answered; and one that a debugger has stopped is somebody's, who will let it go on.
    if (!this.#heartbeat.isSilent || worker.state === 'dead' || report.state === 'debugged') return
    this.#parts.stuck(silentMs, report)
    // Not SIGTERM first: what is stuck can't run its handler.
    const silence = `it had not answered for ${Math.round(silentMs)} ms`
    worker.kill({ kind: 'stuck', text: `${silence}; ${describeReport(report)}` })
  }
}

/** In words: `it was in spin (/app/worker.js:12:5)`. */
function describeReport(report: MainThreadReport): string {
  switch (report.state) {
    case 'running': {
      const top = report.stack.find(({ file }) => !file.startsWith('node:')) ?? report.stack[0]
      if (top === undefined) return 'it was running JavaScript'
      return `it was in ${top.functionName || 'a function without a name'} (${top.file}:${top.line}:${top.column})`
    }
    case 'native':
      return 'it was in native code'
    case 'responsive':
      return 'its event loop turns, but its link does not'
    case 'unknown':
      return 'it has no watchdog that could tell what it was doing'
    default:
      return 'its whole process was stopped'
  }
}
