// Clusterwire too: the same values by one call each, of which one is awaited before the next is made.
import { ourVersion } from '../../lib/versions.js'
import { startTicks } from './workers/primary.js'

export const name = 'one call each'
export const version = ourVersion()

export async function start(workers) {
  const { client, close } = await startTicks(workers)
  return { call: () => client.next(), close }
}
