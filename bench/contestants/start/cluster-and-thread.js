// cluster.fork, and an empty thread in each worker: the least with which something in a worker goes on when its own code blocks.
import { forkAll } from '../../lib/fork-all.js'

await forkAll(new URL('./workers/cluster-and-thread.js', import.meta.url))
