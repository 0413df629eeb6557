// Whether a server takes upgrades. Under Node that is so while somebody listens, and asked anew with each request.

import type { Server } from 'node:http'

/** Whether it does now. */
export function takesUpgrades(server: Server): boolean {
  return server.listenerCount('upgrade') > 0
}

/** Calls `changed` when it begins to, or ceases to; the function returned ends that. */
export function watchUpgrades(server: Server, changed: (takes: boolean) => void): () => void {
  let known = takesUpgrades(server)
  const look = () => {
    const takes = takesUpgrades(server)
    if (takes === known) return
    known = takes
    changed(takes)
  }
  // Node tells of a listener before it has added it.
  const onListener = (event: string | symbol) => event === 'upgrade' && queueMicrotask(look)
  server.on('newListener', onListener).on('removeListener', onListener)
  return () => {
    server.off('newListener', onListener).off('removeListener', onListener)
  }
}
