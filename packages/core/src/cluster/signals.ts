// Signals to the primary's process, and the error that would end it.

import { printError } from './process.js'

/** Ctrl-C reaches a process twice when npm runs it, from the terminal and from npm: what comes this soon is the same wish. Milliseconds. */
const SAME_WISH = 1_000

/** What signals ask for. */
export interface SignalActions {
  /** Ends the cluster in order. */
  drain(): Promise<void>
  /** Whether something had to be ended by force on the way. */
  forced(): boolean
  /** Ends all workers now. */
  kill(): void
  reload(): void
}

/**
 * Drains on SIGINT and SIGTERM, then ends the process: with code 0 when all was drained, with 1 when it could not be, and with 128 + n after
 * a second signal. Reloads on SIGHUP. Handlers are always there: a process with pid 1 ignores signals that it has no handler for.
 *
 * An error that nothing else catches drains, too, and ends the process with code 1, as it would without us but for the drain.
 *
 * @returns what takes the handlers away again
 */
export function heedSignals({ drain, forced, kill, reload }: SignalActions): () => void {
  let first: number | undefined
  const end = (code: () => number) => {
    first ??= performance.now()
    drain().then(
      () => process.exit(code()),
      () => process.exit(1),
    )
  }
  const onSignal = (signal: NodeJS.Signals) => {
    if (first === undefined) return end(() => (forced() ? 1 : 0))
    if (performance.now() - first <= SAME_WISH) return
    kill()
    process.exit(signal === 'SIGINT' ? 130 : 143)
  }
  const onError = (error: unknown) => {
    // Whoever else listens decides what it means.
    if (process.listenerCount('uncaughtException') > 1) return
    printError(error, 'an error that nothing caught ends the cluster')
    if (first === undefined) end(() => 1)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', reload)
  process.on('uncaughtException', onError)
  return () => {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', reload)
    process.off('uncaughtException', onError)
  }
}
