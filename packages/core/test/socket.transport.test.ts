import { describe } from 'vitest'
import { createSharedLinks, SHARES_MEMORY } from './shared-memory-support.js'
import { createHandleLinks, createSocketLinks } from './socket-pair.js'
import { describeTransport } from './transport-suite.js'

describeTransport('socket', createSocketLinks)
describeTransport('socket that is read into one room', createHandleLinks)
describe.skipIf(!SHARES_MEMORY)('with shared memory', () => {
  describeTransport('socket', async (limit) => {
    const { links } = await createSharedLinks({ limit, overHandles: true })
    return links
  })
})
