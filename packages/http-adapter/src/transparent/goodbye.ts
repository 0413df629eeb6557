// Apps close their databases on SIGTERM. One whose worker is to finish hears it too, whoever wants that: when nothing runs any more, so that
// it may end the process at once.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterWorker } from '@clusterwire/core/cluster'

/** Milliseconds that the app has to end the process by itself. */
const PATIENCE = 2_000

/** Tells the app, if it listens to SIGTERM, when its worker drains. */
export function sayGoodbye(worker: ClusterWorker): void {
  let told = false
  const note = () => {
    told = true
  }
  process.once('SIGTERM', note)
  worker.onDrain(async () => {
    // The drain itself is one of the requests that this worker answers.
    await worker.peer.quiet(() => 1)
    process.off('SIGTERM', note)
    // One listener is the worker's own: a worker that drains has heard of it.
    if (told || process.listenerCount('SIGTERM') === 1) return
    process.emit('SIGTERM', 'SIGTERM')
    // The process ends in the meantime, if the app wants that.
    await sleep(PATIENCE, undefined, { ref: false })
  })
}
