// Requests that a worker has not begun because it does not answer any more: they are taken back, and go to others.

import type { Directory, Member, Peer } from '@clusterwire/core/peer'
import { REQUEST } from '../wire.js'

/** Takes them back, once for each time that a worker gets suspect, when there are others that are not. */
export function recallFromSuspects(peer: Peer): void {
  const { directory } = peer
  const done = new Set<Member>()
  directory.onChange(() => {
    for (const member of done) if (member.state !== 'suspect') done.delete(member)
    for (const member of suspects(directory)) {
      if (done.has(member)) continue
      done.add(member)
      void peer.recall(member)
    }
  })
}

/** The workers that get nothing new. Where all are used, for want of others, none is. */
function suspects(directory: Directory): Member[] {
  if (directory.candidates(REQUEST).some(({ member }) => member.state === 'suspect')) return []
  return directory.ready().filter(({ state }) => state === 'suspect')
}
