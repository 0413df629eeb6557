// The least: for each broadcast a byte to each worker over a bare socket, and a byte back. Nothing is encoded, checked or told apart. What is left
// is the system's part: to write, to wake up the workers' processes, to read.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const name = 'bare-socket'
export const version = ''

/** More than are ever in flight. */
const BYTES = Buffer.alloc(1024, 1)

export async function start(count) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-socket-'))
  const file = path.join(folder, 'socket')
  const sockets = []
  // Each worker answers in the order in which it is told, so broadcasts are over in the order in which they were made.
  const waiting = []
  const answers = new Array(count).fill(0)
  let over = 0
  const server = createServer((socket) => {
    const number = sockets.push(socket) - 1
    socket.on('data', ({ length }) => {
      answers[number] += length
      for (const last = Math.min(...answers); over < last; over++) waiting.shift()()
    })
  })
  await once(server.listen(file), 'listening')
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('./workers/bare-socket.js', import.meta.url)),
    args: [file],
  })
  const workers = Array.from({ length: count }, () => cluster.fork())
  while (sockets.length < count) await once(server, 'connection')

  let due = 0
  /** One write to each worker for all broadcasts that are made together. */
  function send() {
    const bytes = BYTES.subarray(0, due)
    due = 0
    for (const socket of sockets) socket.write(bytes)
  }

  return {
    call: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        if (due++ === 0) process.nextTick(send)
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
