// The end of a server that listens by itself, in a worker that is to finish.

import type { ServerResponse } from 'node:http'
import type { Server } from 'node:net'

interface KeepsConnections {
  closeIdleConnections(): void
}

/**
 * Closes a server without losing a request: for a worker that listens by itself, as `worker.onDrain(() => drainServer(server))`.
 * Nothing new is accepted; what runs is finished; a connection that a client keeps gets one more answer, if it asks for one, and is closed
 * behind it.
 *
 * @returns a promise that resolves when no connection is left, which may take as long as the server keeps idle ones (its
 *   `keepAliveTimeout`, 5 s)
 */
export function drainServer(server: Server): Promise<void> {
  if ('closeIdleConnections' in server) {
    // Node closes idle connections there and then, although a request may be on its way.
    ;(server as unknown as KeepsConnections).closeIdleConnections = () => {}
    server.prependListener('request', closeBehind)
  }
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}

function closeBehind(_req: unknown, res: ServerResponse): void {
  res.shouldKeepAlive = false
}
