import { joinCluster } from '@clusterwire/core/cluster'
import { chunk } from './chunk.js'
import { files } from './contract.js'

const worker = await joinCluster()
worker.serve(files, {
  async *read() {
    for (;;) yield chunk
  },
  async write(_input, { upload }) {
    let size = 0
    for await (const piece of upload) size += piece.length
    return size
  },
})
await worker.ready()
