// Starts node:http servers, each a process with a port of its own.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SERVER = fileURLToPath(new URL('./server.js', import.meta.url))

/** @returns their ports, and `close()` */
export async function startServers(count) {
  const children = Array.from({ length: count }, () => fork(SERVER))
  const told = await Promise.all(children.map((child) => once(child, 'message')))
  return {
    ports: told.map(([{ port }]) => port),
    close() {
      for (const child of children) child.disconnect()
    },
  }
}
