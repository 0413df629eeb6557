// How a worker's process ended, in words that say what to look for.

/** What ended a worker, as far as it can be told. */
export type ExitKind =
  /** It was told to. */
  | 'told'
  /** It ended by itself, with code 0. */
  | 'finished'
  /** It ended by itself, with another code. */
  | 'exited'
  /** An error that nothing caught. */
  | 'crashed'
  /** SIGABRT: Node ends itself so when its heap is full. */
  | 'oom-heap'
  /** SIGKILL that was not ours: usually the kernel, which is out of memory. */
  | 'killed'
  /** Another signal that was not ours. */
  | 'signalled'
  /** It did not answer for so long that it was ended. */
  | 'stuck'
  /** It was not ready in time. */
  | 'boot-timeout'
  /** What it sent was no protocol of ours, or its link ended while it lived. */
  | 'link'
  /** There never was a process. */
  | 'not-started'

/** How a worker's process ended. */
export interface WorkerExit {
  readonly code: number | null
  readonly signal: string | null
  readonly kind: ExitKind
  /** In words: `exited with code 1`, `was killed by SIGKILL (not by Clusterwire: usually the system is out of memory)`. */
  readonly reason: string
}

/** Why it was ended from here. */
export interface Because {
  readonly kind: ExitKind
  readonly text: string
}

/** The exit code of a worker that an error which nothing caught has ended (EX_SOFTWARE). */
export const CRASHED = 70

/** The exit code of a worker whose primary is gone (EX_TEMPFAIL): not 0, which would tell a supervisor that all is well. */
export const ORPHANED = 75

/** The exit code of a primary whose first workers did not get ready. */
export const BOOT_FAILED = 3

/** What the operating system says. */
interface ProcessEnd {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * Puts an end into words.
 *
 * @param because why it was ended from here, if it was
 * @param crash the error that it told of before it ended
 */
export function describeExit(
  { code, signal }: ProcessEnd,
  because: Because | undefined,
  crash: string | undefined,
): WorkerExit {
  const how = signal === null ? `exited with code ${code}` : `was killed by ${signal}`
  const say = (kind: ExitKind, why = '') => ({
    code,
    signal,
    kind,
    reason: why === '' ? how : `${how}: ${why}`,
  })
  if (crash !== undefined) return say('crashed', crash)
  if (because !== undefined) return say(because.kind, because.text)
  if (signal === 'SIGABRT') return say('oom-heap', 'usually its heap was full; see what it printed')
  if (signal === 'SIGKILL')
    return say('killed', 'not by Clusterwire; usually the system is out of memory')
  if (signal !== null) return say('signalled')
  if (code === CRASHED) return say('crashed', 'an error that nothing caught; see what it printed')
  if (code === ORPHANED) return say('link', 'it lost its link to the primary')
  return say(code === 0 ? 'finished' : 'exited')
}

/** Exit codes of errors, when they end the process. */
const exitCodes = new WeakMap<Error, number>()

function useExitCode(uncaught: Error): void {
  const code = exitCodes.get(uncaught)
  if (code === undefined) return
  process.on('exit', () => {
    process.exitCode = code
  })
}

/** Lets the process end with this code if the error ends it: a supervisor is to tell a program that does not start from one that has crashed. */
export function exitWithIfUncaught(error: Error, code: number): void {
  exitCodes.set(error, code)
  process.off('uncaughtExceptionMonitor', useExitCode).on('uncaughtExceptionMonitor', useExitCode)
}
