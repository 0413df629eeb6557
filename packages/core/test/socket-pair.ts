// Two connected sockets, as the primary and a worker have them, and the links over them.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nanoid } from 'nanoid'
import { afterAll } from 'vitest'
import { takeHandle } from '../src/cluster/pipe-handle.js'
import { SocketLink } from '../src/transports/socket.js'
import { until } from './support.js'

const open = new Set<Socket>()

// What uses a socket has to close it. One that is left open fails the file, and must not keep its process from ending besides.
afterAll(async () => {
  try {
    await until(() => open.size === 0, 'all sockets are closed')
  } finally {
    for (const socket of open) socket.destroy()
  }
})

/** Creates a pair of sockets. */
export async function createSocketPair(): Promise<readonly [Socket, Socket]> {
  const server = createServer()
  server.listen(path.join(tmpdir(), `clusterwire-${nanoid()}.sock`))
  await once(server, 'listening')
  const near = connect(server.address() as string)
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()
  for (const socket of [near, far]) {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  }
  return [near, far]
}

/** Creates the two ends of a link over sockets. `limit`: the largest frame. */
export async function createSocketLinks(
  limit?: number,
): Promise<readonly [SocketLink, SocketLink]> {
  const [near, far] = await createSocketPair()
  return [new SocketLink(near, limit), new SocketLink(far, limit)]
}

/** The same over the handles of sockets, as the primary and a worker have them: these are read into one room. */
export async function createHandleLinks(
  limit?: number,
): Promise<readonly [SocketLink, SocketLink]> {
  const [near, far] = await createSocketPair()
  if (near.connecting) await once(near, 'connect')
  return [new SocketLink(handleOf(near), limit), new SocketLink(handleOf(far), limit)]
}

/** The handle of a connected socket, which is of no use from then on. */
export function handleOf(socket: Socket): { readonly handle: object } {
  const connection = takeHandle(socket)
  if (connection === undefined) throw new Error('This Node keeps the handle elsewhere')
  return connection
}
