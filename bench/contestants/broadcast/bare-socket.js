// A byte to each worker over a bare socket, and a byte back: nothing is encoded, checked or counted, so that no broadcast by way of node:net
// can take less. What of a figure is the system's, and waking up the workers' processes.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const name = 'bare-socket'
export const version = ''

const BYTE = Buffer.of(1)

export async function start(count) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-socket-'))
  const file = path.join(folder, 'socket')
  const sockets = []
  // One broadcast at a time is answered in full before the next; of several under way, each byte that comes back is the oldest's.
  const waiting = []
  let answered = 0
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('data', ({ length }) => {
      answered += length
      for (; answered >= count; answered -= count) waiting.shift()()
    })
  })
  await once(server.listen(file), 'listening')
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('./workers/bare-socket.js', import.meta.url)),
    args: [file],
  })
  const workers = Array.from({ length: count }, () => cluster.fork())
  while (sockets.length < count) await once(server, 'connection')
  return {
    call: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        for (const socket of sockets) socket.write(BYTE)
      }),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      // Each ends by itself when its primary is gone.
      for (const worker of workers) worker.process.disconnect()
      rmSync(folder, { recursive: true })
    },
  }
}
