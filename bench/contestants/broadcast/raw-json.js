// A loop of worker.send with node:cluster, and a count of the acknowledgements that are missing: what one writes by hand.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const name = 'raw-json'
export const version = ''

export async function start(count) {
  cluster.setupPrimary({ exec: fileURLToPath(new URL('./workers/raw.js', import.meta.url)) })
  const workers = Array.from({ length: count }, () => cluster.fork())
  const waiting = new Map()
  // Not 'online': a message that comes before the worker listens is lost.
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  for (const worker of workers)
    worker.on('message', ({ id }) => {
      const one = waiting.get(id)
      if (--one.missing > 0) return
      waiting.delete(id)
      one.resolve()
    })
  let lastId = 0
  return {
    call: (input) =>
      new Promise((resolve) => {
        const id = ++lastId
        waiting.set(id, { missing: count, resolve })
        for (const worker of workers) worker.send({ id, input })
      }),
    close() {
      // Each ends by itself when its primary is gone.
      for (const worker of workers) worker.process.disconnect()
    },
  }
}
