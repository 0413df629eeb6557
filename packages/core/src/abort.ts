// Listening to an AbortSignal. However many calls share one signal, it gets one listener: platforms take more than ten for a leak and warn.

type Listener = () => void

/** Who waits for a signal, for signals that somebody waits for. */
const waiting = new WeakMap<AbortSignal, { readonly runs: Set<Listener>; readonly all: Listener }>()

/** Calls `run` when the signal aborts; the function returned takes that back. */
export function onAbort(signal: AbortSignal, run: Listener): () => void {
  const runs = waiting.get(signal)?.runs ?? listenTo(signal)
  // Wrapped, so that the same function given twice waits twice.
  const own = () => run()
  runs.add(own)
  return () => {
    if (runs.delete(own) && runs.size === 0) forget(signal)
  }
}

function listenTo(signal: AbortSignal): Set<Listener> {
  const runs = new Set<Listener>()
  const all = () => {
    forget(signal)
    for (const run of runs) run()
  }
  waiting.set(signal, { runs, all })
  signal.addEventListener('abort', all, { once: true })
  return runs
}

function forget(signal: AbortSignal): void {
  const found = waiting.get(signal)
  if (found === undefined) return
  waiting.delete(signal)
  signal.removeEventListener('abort', found.all)
}
