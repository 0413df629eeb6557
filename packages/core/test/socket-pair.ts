// Two connected sockets, as the primary and a worker have them, and the links over them.

import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readdirSync, type Stats, statSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nanoid } from 'nanoid'
import { afterAll } from 'vitest'
import { takeHandle } from '../src/cluster/pipe-handle.js'
import { openSharedFile, SharedMemory } from '../src/transports/shared-memory.js'
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

function handleOf(socket: Socket): { readonly handle: object } {
  const connection = takeHandle(socket)
  if (connection === undefined) throw new Error('This Node keeps the handle elsewhere')
  return connection
}

/** Two links that share memory, as the primary's and a worker's do. */
export interface SharedLinks {
  readonly links: readonly [primary: SocketLink, worker: SocketLink]
  /** What they are over; without their handles when those were taken. */
  readonly sockets: readonly [Socket, Socket]
  /** The first one's descriptor of the file, and what the file is. */
  readonly fd: number
  readonly file: Pick<Stats, 'ino' | 'dev'>
}

/** Whether there is memory to be shared. */
export const SHARES_MEMORY: boolean = sharesMemory()

function sharesMemory(): boolean {
  const fd = openSharedFile()
  if (fd === undefined) return false
  closeSync(fd)
  return true
}

/** Creates the two ends of a link whose large pieces lie in memory that both share. `overHandles`: as `createHandleLinks`. */
export async function createSharedLinks({
  limit,
  overHandles = false,
}: {
  readonly limit?: number
  readonly overHandles?: boolean
} = {}): Promise<SharedLinks> {
  const sockets = await createSocketPair()
  const [near, far] = sockets
  if (near.connecting) await once(near, 'connect')
  const fd = openSharedFile() as number
  const file = fstatSync(fd)
  const link = (socket: Socket, memory: SharedMemory) =>
    new SocketLink(overHandles ? handleOf(socket) : socket, limit, memory)
  const primary = link(near, new SharedMemory(fd, 'primary'))
  const worker = link(far, new SharedMemory(openAgain(fd), 'worker'))
  return { links: [primary, worker], sockets, fd, file }
}

/** Another descriptor of a file that has no name. */
export function openAgain(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, 'r+')
}

/** This process's descriptors of a file. */
export function descriptorsOf({ ino, dev }: Pick<Stats, 'ino' | 'dev'>): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    const found = statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })
    return found?.ino === ino && found.dev === dev
  })
}
