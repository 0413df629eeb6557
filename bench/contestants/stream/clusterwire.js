// Clusterwire: a stream of raw bytes, with its credit windows and deadlines.
import { startPrimary } from '@clusterwire/core/cluster'
import { Flow } from '../../lib/flow.js'
import { ourVersion } from '../../lib/versions.js'
import { CHUNK, chunk } from './workers/chunk.js'
import { files } from './workers/contract.js'

export const name = 'clusterwire'
export const version = ourVersion()

export async function start(workers) {
  const primary = await startPrimary({
    exec: new URL('./workers/clusterwire.js', import.meta.url),
    workers,
  })
  const client = primary.client(files)

  async function down(flow) {
    for await (const { length } of client.read()) if (flow.count(length / CHUNK)) break
  }
  async function up(flow) {
    async function* source() {
      do yield chunk
      while (!flow.count())
    }
    // Answered when all of it has been read.
    await client.write(undefined, { upload: source() })
  }

  return {
    async measure({ milliseconds, direction }) {
      const flow = new Flow(milliseconds)
      await (direction === 'down' ? down(flow) : up(flow))
      return flow.result()
    },
    close: () => primary.close(),
  }
}
