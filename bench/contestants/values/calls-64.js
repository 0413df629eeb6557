// Clusterwire too: the same values by one call each, 64 of them in flight.
import { drive } from '../../lib/load.js'
import { ourVersion } from '../../lib/versions.js'
import { startTicks } from './workers/primary.js'

export const name = 'one call each, 64 in flight'
export const version = ourVersion()

export async function start(workers) {
  const { client, close } = await startTicks(workers)
  return { measure: (load) => drive(() => client.next(), { ...load, inFlight: 64 }), close }
}
