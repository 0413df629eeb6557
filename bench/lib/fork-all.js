// A program of bare node:cluster, as `start` measures it: as much as it takes to know that its workers run their code.

import cluster from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** @param {URL} exec what the workers run; each says something when it is ready */
export async function forkAll(exec) {
  const [count, what] = process.argv.slice(2)
  cluster.setupPrimary({ exec: fileURLToPath(exec), args: [what] })
  const workers = Array.from({ length: Number(count) }, () => cluster.fork())
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  process.send({ pids: workers.map((worker) => worker.process.pid) })
  // Each ends by itself when its primary is gone.
  process.once('disconnect', () => process.exit())
}
