// Starts node:http servers, each a process with a port of its own, or a Unix socket.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SERVER = fileURLToPath(new URL('./server.js', import.meta.url))

/**
 * @param {number} count
 * @param {string[]} [files] the Unix sockets that they are to listen on. Default: each on a free port
 * @returns their ports, if they have any, and `close()`
 */
export async function startServers(count, files = []) {
  const children = Array.from({ length: count }, (_, i) => fork(SERVER, files.slice(i, i + 1)))
  const told = await Promise.all(children.map((child) => once(child, 'message')))
  return {
    ports: told.map(([{ port }]) => port),
    close() {
      for (const child of children) child.disconnect()
    },
  }
}
