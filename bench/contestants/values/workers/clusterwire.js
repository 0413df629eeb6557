import { joinCluster } from '@clusterwire/core/cluster'
import { text, ticks } from './contract.js'

let n = 0
const worker = await joinCluster()
worker.serve(ticks, {
  async *all() {
    for (;;) yield { n: n++, text }
  },
  next: () => ({ n: n++, text }),
})
await worker.ready()
