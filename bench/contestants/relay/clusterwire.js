// Clusterwire, one worker calling another: the primary forwards the frames without reading their bodies. Validated on both ends.
import { startPrimary } from '@clusterwire/core/cluster'
import { ourVersion } from '../../lib/versions.js'
import { caller } from './workers/contract.js'

export const name = 'clusterwire'
export const version = ourVersion()

export async function start(workers) {
  const primary = await startPrimary({
    exec: new URL('./workers/clusterwire.js', import.meta.url),
    workers,
  })
  const [first, second] = primary.workers
  const callers = primary.client(caller, { to: first.number })
  return {
    measure: (load) => callers.measure({ callee: second.number, load }),
    close: () => primary.close(),
  }
}
