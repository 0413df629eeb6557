// Requests that a worker has not begun because it does not answer any more: they are taken back, and go to others.

import type { Member, Peer } from '@clusterwire/core/peer'
import { REQUEST } from '../wire.js'
import type { Workers } from './workers.js'

/**
 * Makes what takes them back, once for each time that a worker gets suspect, when there are others that are not. To be called whenever the
 * workers have changed.
 */
export function recaller(peer: Peer, workers: Workers): () => void {
  const done = new Set<Member>()
  return () => {
    for (const member of done) if (member.state !== 'suspect') done.delete(member)
    for (const member of suspects(workers)) {
      if (done.has(member)) continue
      done.add(member)
      void peer.recall(member)
    }
  }
}

/** The workers that get nothing new. Where all are used, for want of others, none is. */
function suspects(workers: Workers): Member[] {
  if (workers.candidates(REQUEST).some(({ member }) => member.state === 'suspect')) return []
  return workers.ready().filter(({ state }) => state === 'suspect')
}
