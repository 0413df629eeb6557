// A stream of small values, each validated with zod on both ends.
import { Flow } from '../../lib/flow.js'
import { ourVersion } from '../../lib/versions.js'
import { startTicks } from './workers/primary.js'

export const name = 'clusterwire'
export const version = ourVersion()

export async function start(workers) {
  const { client, close } = await startTicks(workers)
  return {
    async measure({ milliseconds }) {
      const flow = new Flow(milliseconds)
      for await (const _tick of client.all()) if (flow.count()) break
      return flow.result()
    },
    close,
  }
}
