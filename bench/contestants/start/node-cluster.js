// Bare cluster.fork.
import { forkAll } from '../../lib/fork-all.js'

await forkAll(new URL('./workers/node-cluster.js', import.meta.url))
