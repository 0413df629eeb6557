// Signals that end a cluster: the first drains it, a second one does not wait.

/** Ctrl-C reaches a process twice when npm runs it, from the terminal and from npm: what comes this soon is the same wish. Milliseconds. */
const SAME_WISH = 1_000

/**
 * Drains on SIGINT and SIGTERM, then ends the process: with code 0 when all was drained, with 1 when it could not be, and with
 * 128 + n after a second signal.
 *
 * @returns what takes the handlers away again
 */
export function closeOnSignals(drain: () => Promise<void>, kill: () => void): () => void {
  let first: number | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    if (first === undefined) {
      first = performance.now()
      drain().then(
        () => process.exit(0),
        () => process.exit(1),
      )
    } else if (performance.now() - first > SAME_WISH) {
      kill()
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
}
