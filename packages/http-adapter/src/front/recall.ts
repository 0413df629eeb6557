// Requests that a worker has not begun, and may not begin soon, because it does not answer any more or is to finish: they are taken back,
// and go to others.

import type { Member, Peer } from '@clusterwire/core/peer'
import { REQUEST } from '../wire.js'
import type { Workers } from './workers.js'

/**
 * Makes what takes them back, once for each time that a worker begins to be passed over. To be called whenever the workers have changed.
 */
export function recaller(peer: Peer, workers: Workers): () => void {
  let done: readonly Member[] = []
  return () => {
    const before = done
    done = passedOver(workers)
    for (const member of done) if (!before.includes(member)) void peer.recall(member)
  }
}

/** The workers that get nothing new. Where suspects are used, for want of others, they do. */
function passedOver(workers: Workers): Member[] {
  const used = workers.candidates(REQUEST).map(({ member }) => member)
  if (used.length === 0) return []
  return workers
    .all()
    .filter(
      (member) =>
        (member.state === 'suspect' || member.state === 'draining') &&
        member.procedures.has(REQUEST) &&
        !used.includes(member),
    )
}
