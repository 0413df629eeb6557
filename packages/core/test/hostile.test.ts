// A member that breaks the rules on purpose. Its own link may end; nobody else may notice.

import { describe } from 'vitest'
import { describeAnything } from './hostile/anything.js'
import { describeBeforeHello } from './hostile/before-hello.js'
import { describeRows } from './hostile/rows.js'
import { describeToPrimary } from './hostile/to-primary.js'
import { describeToWorker } from './hostile/to-worker.js'
import { TRANSPORTS } from './hostile/village.js'

describe.each(TRANSPORTS)('over $name', (transport) => {
  describeBeforeHello(transport)
  describeToPrimary(transport)
  describeRows(transport)
  describeToWorker(transport)
  describeAnything(transport, transport.name === 'memory' ? 200 : 50)
})
