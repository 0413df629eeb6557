import { SocketLink } from '../src/transports/socket.js'
import { createSocketPair } from './socket-pair.js'
import { describeTransport } from './transport-suite.js'

describeTransport('socket', async (limit) => {
  const [near, far] = await createSocketPair()
  return [new SocketLink(near, limit), new SocketLink(far, limit)]
})
