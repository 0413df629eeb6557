// node:http in one process: nothing between the client and the app.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { app } from './workers/app.js'

export const name = 'node-http'
export const version = ''

export async function start() {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
