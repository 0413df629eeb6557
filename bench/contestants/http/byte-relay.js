// Bytes passed on by hand: the primary pipes each connection into one to a worker, as they come, and parses nothing. The least that a primary
// can do through which all bytes go, without any of a front's services: no queue, no retry, no health, and a worker for each connection.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startServers } from './workers/servers.js'

export const name = 'byte-relay'
export const version = ''

export async function start(workers) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-relay-'))
  const files = Array.from({ length: workers }, (_, i) => path.join(folder, `${i}`))
  const servers = await startServers(workers, files)
  let turn = 0
  const relay = createServer({ noDelay: true }, (client) => {
    const worker = connect(files[turn++ % workers])
    client.pipe(worker).pipe(client)
    for (const [one, other] of [
      [client, worker],
      [worker, client],
    ])
      one.on('error', () => {}).on('close', () => other.destroy())
  })
  await once(relay.listen(0, '127.0.0.1'), 'listening')
  return {
    port: relay.address().port,
    close() {
      relay.close()
      servers.close()
      rmSync(folder, { recursive: true })
    },
  }
}
