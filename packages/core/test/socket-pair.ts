// Two connected sockets, as the primary and a worker have them.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nanoid } from 'nanoid'
import { onTestFinished } from 'vitest'

/** Sockets of the running test. */
const opened = new Set<Socket>()

/** Creates a pair of sockets. Nothing here closes them: the test is over when what uses them has. */
export async function createSocketPair(): Promise<readonly [Socket, Socket]> {
  // The first hook to be registered is the last to run.
  if (opened.size === 0) onTestFinished(allClosed)
  const server = createServer()
  server.listen(path.join(tmpdir(), `clusterwire-${nanoid()}.sock`))
  await once(server, 'listening')
  const near = connect(server.address() as string)
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()
  opened.add(near).add(far)
  return [near, far]
}

async function allClosed(): Promise<void> {
  const sockets = [...opened]
  opened.clear()
  await Promise.all(
    sockets.map((socket) => socket.closed || new Promise((done) => socket.once('close', done))),
  )
}
