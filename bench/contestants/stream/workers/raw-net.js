import { createConnection } from 'node:net'
import { pipeline, Readable, Writable } from 'node:stream'
import { chunk } from './chunk.js'

/** Socket paths come with a direction: a connection each. */
process.on('message', ({ path, direction }) => {
  const socket = createConnection(path)
  if (direction === 'down') pipeline(endless(), socket, () => {})
  else read(socket)
})
process.send('ready')

const endless = () =>
  new Readable({
    highWaterMark: chunk.length,
    read() {
      this.push(chunk)
    },
  })

/** Its end is the writer's sign that all has been read. */
function read(socket) {
  pipeline(socket, new Writable({ write: (_piece, _encoding, done) => done() }), () => {})
}
