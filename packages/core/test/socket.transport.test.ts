import { createSocketLinks } from './socket-pair.js'
import { describeTransport } from './transport-suite.js'

describeTransport('socket', createSocketLinks)
