import { connect } from 'node:net'

const BYTES = Buffer.alloc(1024, 1)

const socket = connect({
  path: process.argv[2],
  onread: {
    buffer: Buffer.alloc(BYTES.length),
    callback(length) {
      socket.write(BYTES.subarray(0, length))
      return true
    },
  },
})
