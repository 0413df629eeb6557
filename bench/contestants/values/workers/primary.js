// A primary and its worker, for all of these contestants.
import { startPrimary } from '@clusterwire/core/cluster'
import { ticks } from './contract.js'

export async function startTicks(workers) {
  const primary = await startPrimary({
    exec: new URL('./clusterwire.js', import.meta.url),
    workers,
  })
  return { client: primary.client(ticks), close: () => primary.close() }
}
