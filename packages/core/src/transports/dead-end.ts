// The link to a member that is gone: it takes frames, as a link does after its end, and drops them.

import type { Link } from '../transport.js'
import { FrameBuffer } from './framing.js'

const nowhere = new FrameBuffer()

export const DEAD_END: Link = {
  begin: (head) => nowhere.begin(head),
  commit: () => nowhere.abandon(),
  abandon: () => nowhere.abandon(),
  forward() {},
  flush: (done) => done?.(),
  queued: 0,
  congested: false,
  whenClear() {},
  start() {},
  async close() {},
  destroy() {},
}
