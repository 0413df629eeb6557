// The one private part of Node that the core touches: the handle under the socket that Node makes for a child's pipe.
//
// Why: a link is read into one buffer, over and over (net's `onread`, which has to be asked for when a socket is made), and a child's
// sockets are made by Node. Otherwise Node allocates 64 KiB for every read, which keeps the garbage collector busy.

import type { Socket } from 'node:net'

/**
 * Takes the handle out of a socket, as Node itself does when it passes a connection on to another process: the socket is then closed, and
 * whatever has come in still waits to be read.
 *
 * @returns undefined when this Node keeps it elsewhere; the socket is then as it was
 */
export function takeHandle(socket: Socket): { readonly handle: object } | undefined {
  const owner = socket as unknown as { _handle: { readonly readStart?: unknown } | null }
  const handle = owner._handle
  if (typeof handle?.readStart !== 'function') return undefined
  owner._handle = null
  socket.destroy()
  return { handle }
}
