import { createHandleLinks, createSocketLinks } from './socket-pair.js'
import { describeTransport } from './transport-suite.js'

describeTransport('socket', createSocketLinks)
describeTransport('socket that is read into one room', createHandleLinks)
