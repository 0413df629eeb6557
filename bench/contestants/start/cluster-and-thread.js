// cluster.fork, and an empty thread in each worker: the least with which something in a worker goes on when its own code blocks.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const [count, what] = process.argv.slice(2)
cluster.setupPrimary({
  exec: fileURLToPath(new URL('./workers/cluster-and-thread.js', import.meta.url)),
  args: [what],
})
const workers = Array.from({ length: Number(count) }, () => cluster.fork())
await Promise.all(workers.map((worker) => once(worker, 'message')))
process.send({ pids: workers.map((worker) => worker.process.pid) })
// Each ends by itself when its primary is gone.
process.once('disconnect', () => process.exit())
