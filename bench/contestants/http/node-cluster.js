// node:cluster as its documentation shows it: the primary hands each connection, not each request, to a worker.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../lib/port.js'

export const name = 'node-cluster'
export const version = ''

export async function start(count) {
  const port = await freePort()
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('./workers/node-cluster.js', import.meta.url)),
    args: [String(port)],
  })
  const workers = Array.from({ length: count }, () => cluster.fork())
  await Promise.all(workers.map((worker) => once(worker, 'listening')))
  return {
    port,
    close() {
      // Each ends by itself when its primary is gone.
      for (const worker of workers) worker.process.disconnect()
    },
  }
}
