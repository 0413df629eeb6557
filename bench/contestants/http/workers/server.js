// A process with a node:http server on a port of its own, which it tells its parent, or on the Unix socket that it is told: what stands
// behind a proxy.
import { createServer } from 'node:http'
import { app } from './app.js'

const [file] = process.argv.slice(2)
const place = file === undefined ? { port: 0, host: '127.0.0.1' } : { path: file }
const server = createServer(app).listen(place, () => process.send({ port: server.address().port }))
process.once('disconnect', () => process.exit())
