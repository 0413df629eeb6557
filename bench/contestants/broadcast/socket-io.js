// socket.io's cluster adapter: one worker asks all others, through the primary, and awaits their acknowledgements. (The primary itself
// is no server there, so that there is one process more.)
import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { setupPrimary } from '@socket.io/cluster-adapter'
import { versionOf } from '../../lib/versions.js'

export const name = 'socket.io'
export const version = versionOf('@socket.io/cluster-adapter')

export async function start(count) {
  cluster.setupPrimary({ exec: fileURLToPath(new URL('./workers/socket-io.js', import.meta.url)) })
  setupPrimary()
  const listeners = Array.from({ length: count }, () => cluster.fork())
  await Promise.all(listeners.map(ready))
  const caller = cluster.fork({ PEERS: String(count) })
  await ready(caller)
  return {
    async measure(load) {
      caller.send({ load })
      const { result } = await messageWith(caller, 'result')
      return result
    },
    close() {
      for (const worker of [caller, ...listeners]) worker.process.disconnect()
    },
  }
}

const ready = (worker) => messageWith(worker, 'ready')

/** The adapter's own messages come the same way. */
const messageWith = (worker, key) =>
  new Promise((resolve) => {
    worker.on('message', function look(message) {
      if (message[key] === undefined) return
      worker.off('message', look)
      resolve(message)
    })
  })
