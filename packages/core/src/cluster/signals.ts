// Signals to the primary's process, and the error that would end it. They are the process's, so all clusters in it share them.

import { printError } from './process.js'

/** Ctrl-C reaches a process twice when npm runs it, from the terminal and from npm: what comes this soon is the same wish. Milliseconds. */
const SAME_WISH = 1_000

/** What signals ask of a cluster. */
export interface SignalActions {
  /** Ends the cluster in order. */
  drain(): Promise<void>
  /** Ends it with next to no time to finish anything. */
  fail(): Promise<void>
  /** Whether something had to be ended by force on the way. */
  forced(): boolean
  /** Ends all workers now. */
  kill(): void
  reload(): void
}

/** The clusters of this process that heed signals. */
const clusters = new Set<SignalActions>()

/** When the first signal that ends them came. */
let first: number | undefined

/**
 * Drains on SIGINT and SIGTERM, then ends the process: with code 0 when all was drained, with 1 when it could not be, and with 128 + n after
 * a second signal. Reloads on SIGHUP. Handlers are always there: a process with pid 1 ignores signals that it has no handler for.
 *
 * An error that nothing else catches ends the clusters, too, quickly, and then the process with code 1, as it would without us.
 *
 * @returns what ends that
 */
export function heedSignals(cluster: SignalActions): () => void {
  if (clusters.size === 0) listen()
  clusters.add(cluster)
  return () => {
    // While the process is being ended, the handlers stay: a second signal has its meaning still.
    if (first === undefined && clusters.delete(cluster) && clusters.size === 0) forget()
  }
}

function listen(): void {
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp)
  process.on('uncaughtException', onError)
}

function forget(): void {
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp)
  process.off('uncaughtException', onError)
}

function onSignal(signal: NodeJS.Signals): void {
  if (first === undefined)
    return end(
      (cluster) => cluster.drain(),
      () => ([...clusters].some((cluster) => cluster.forced()) ? 1 : 0),
    )
  if (performance.now() - first <= SAME_WISH) return
  for (const cluster of clusters) cluster.kill()
  process.exit(signal === 'SIGINT' ? 130 : 143)
}

function onHangUp(): void {
  for (const cluster of clusters) cluster.reload()
}

function onError(error: unknown): void {
  // Whoever else listens decides what it means.
  if (process.listenerCount('uncaughtException') > 1) return
  printError(error, 'an error that nothing caught ends the cluster')
  end(
    (cluster) => cluster.fail(),
    () => 1,
  )
}

/** Ends all clusters, and the process when the last has ended. */
function end(one: (cluster: SignalActions) => Promise<void>, code: () => number): void {
  first ??= performance.now()
  Promise.all([...clusters].map(one)).then(
    () => process.exit(code()),
    () => process.exit(1),
  )
}
