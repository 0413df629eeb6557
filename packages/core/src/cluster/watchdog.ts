// A worker's watchdog: a thread that goes on when the main thread is blocked. It tells the primary what the main thread is doing
// (watchdog-line.ts is the primary's end), takes back what that has not begun (turnstile.ts), and ends the process when the primary is gone.
//
// The thread raises no alarm of its own: whether a worker is stuck is the primary's to judge, by the answers it misses. So a pause
// of the whole process, a long garbage collection or a debugger can't cause a false one, and an idle thread never wakes up.

import type { Turnstile } from './turnstile.js'
import { type ThreadData, threadCode } from './watchdog-thread.js'

/** How a watchdog is started. */
export interface WatchdogOptions {
  /** A pipe that the primary made for the watchdog alone (`'pipe'` in the `stdio` of a fork) */
  readonly fd: number
  /**
   * Milliseconds that the process may go on when the primary's end of the pipe has closed, before it gets SIGKILL. It is the time
   * that the main thread has to end in order. Default 1250
   */
  readonly orphanGraceMs?: number
  /** What the main thread has begun, to be taken back by. Default: nothing can be */
  readonly turnstile?: Turnstile
  /** Gets the error that ended the thread, or kept it from starting. The process goes on without a watchdog. */
  readonly onError: (error: unknown, where: string) => void
}

/** A running watchdog. */
export interface Watchdog {
  /** Ends the thread and closes its pipe. Not needed before the process exits. */
  stop(): Promise<void>
}

/**
 * Starts the watchdog thread of this process. Neither the thread nor its pipe keeps the process alive.
 *
 * What it costs (Node 20): 8 MiB of memory of its own (10 MiB resident), 3 ms of the main thread at its start, and nothing while
 * nobody asks. Node 20's inspector is loaded with the first question that the main thread does not answer itself.
 *
 * @throws what `new Worker()` throws: Node's permission model may forbid threads
 */
export function startWatchdog({
  fd,
  orphanGraceMs = 1_250,
  turnstile,
  onError,
}: WatchdogOptions): Watchdog {
  // Loaded here, as a primary needs no threads.
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const workerData: ThreadData = { fd, orphanGraceMs, begun: turnstile?.memory }
  const thread = new Worker(threadCode, {
    eval: true,
    name: 'clusterwire watchdog',
    workerData,
    // What the application loads before itself (--require, --import, NODE_OPTIONS) is not for this thread.
    execArgv: [],
    env: {},
    trackUnmanagedFds: false,
    // Less room for garbage: the thread makes next to none.
    resourceLimits: { maxYoungGenerationSizeMb: 1 },
  })
  thread.on('message', (message: unknown) => thread.postMessage(message))
  thread.on('error', (error) => onError(error, 'the watchdog thread ended'))
  // Last, because a listener for messages takes it back.
  thread.unref()
  return {
    stop: async () => {
      await thread.terminate()
    },
  }
}
