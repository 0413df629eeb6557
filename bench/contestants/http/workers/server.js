// A process with a node:http server on a port of its own, which it tells its parent: what stands behind a proxy.
import { createServer } from 'node:http'
import { app } from './app.js'

const server = createServer(app).listen(0, '127.0.0.1', () =>
  process.send({ port: server.address().port }),
)
process.once('disconnect', () => process.exit())
