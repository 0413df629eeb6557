// Clusterwire as its README shows it: a contract, validated with zod on both ends.
import { startPrimary } from '@clusterwire/core/cluster'
import { ourVersion } from '../../lib/versions.js'
import { pricing } from './workers/contract.js'

export const name = 'clusterwire'
export const version = ourVersion()

export async function start(workers) {
  const primary = await startPrimary({
    exec: new URL('./workers/clusterwire.js', import.meta.url),
    workers,
  })
  const prices = primary.client(pricing)
  return { call: (input) => prices.quote(input), close: () => primary.close() }
}
