import { createLinkPair } from '../src/transports/memory.js'
import { describeTransport } from './transport-suite.js'

describeTransport('memory', (limit) => createLinkPair({ limit }))
