// Clusterwire: a topic, validated with zod on both ends; the receipt tells of each worker that it has applied the value.
import { startPrimary } from '@clusterwire/core/cluster'
import { ourVersion } from '../../lib/versions.js'
import { prices } from './workers/contract.js'

export const name = 'clusterwire'
export const version = ourVersion()

export async function start(workers) {
  const primary = await startPrimary({
    exec: new URL('./workers/clusterwire.js', import.meta.url),
    workers,
  })
  return {
    call: (input) => primary.broadcast(prices.changed, input),
    close: () => primary.close(),
  }
}
