// A bare connection of node:net between two processes, a Unix socket: backpressure and nothing else. Both ends use it as a stream.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Flow } from '../../lib/flow.js'
import { CHUNK, chunk } from './workers/chunk.js'

export const name = 'raw-net'
export const version = ''

const WORKER = fileURLToPath(new URL('./workers/raw-net.js', import.meta.url))

export async function start() {
  const file = path.join(tmpdir(), `bench-${process.pid}.sock`)
  const server = createServer().listen(file)
  await once(server, 'listening')
  const child = fork(WORKER)
  await once(child, 'message')

  async function connection(direction) {
    child.send({ path: file, direction })
    const [socket] = await once(server, 'connection')
    // The worker that writes on is cut off.
    return socket.on('error', () => {})
  }
  async function down(socket, flow) {
    for await (const { length } of socket) if (flow.count(length / CHUNK)) break
    socket.destroy()
  }
  async function up(socket, flow) {
    do {
      if (!socket.write(chunk)) await once(socket, 'drain')
    } while (!flow.count())
    socket.end().resume()
    await once(socket, 'close')
  }

  return {
    async measure({ milliseconds, direction }) {
      const socket = await connection(direction)
      const flow = new Flow(milliseconds)
      await (direction === 'down' ? down(socket, flow) : up(socket, flow))
      return flow.result()
    },
    close() {
      server.close()
      child.disconnect()
      rmSync(file, { force: true })
    },
  }
}
