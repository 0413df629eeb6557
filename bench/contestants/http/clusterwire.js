// Clusterwire as its README shows it: a front in the primary, the app in the workers, which the front shares the requests among.
import { startPrimary } from '@clusterwire/core/cluster'
import { httpFront } from '@clusterwire/http-adapter'
import { ourVersion } from '../../lib/versions.js'

export const name = 'clusterwire'
export const version = ourVersion('http-adapter')

export async function start(workers) {
  const primary = await startPrimary({
    exec: new URL('./workers/clusterwire.js', import.meta.url),
    workers,
  })
  const front = httpFront(primary)
  const { port } = await front.listen(0, '127.0.0.1')
  return {
    port,
    async close() {
      await front.close()
      await primary.close()
    },
  }
}
