// Requests that a worker has not begun, and may not begin soon, because it does not answer any more or is to finish: they are taken back,
// and go to others.

import type { Directory, Member, Peer } from '@clusterwire/core/peer'
import { REQUEST } from '../wire.js'

/** Takes them back, once for each time that a worker gets suspect or is to finish, when there are others. */
export function recallWhatWaits(peer: Peer): void {
  const { directory } = peer
  const done = new Set<Member>()
  directory.onChange(() => {
    for (const member of done)
      if (member.state === 'ready' || member.state === 'gone') done.delete(member)
    for (const member of passedOver(directory)) {
      if (done.has(member)) continue
      done.add(member)
      void peer.recall(member)
    }
  })
}

/** The workers that get nothing new. Where suspects are used, for want of others, they do. */
function passedOver(directory: Directory): Member[] {
  const used = directory.candidates(REQUEST).map(({ member }) => member)
  if (used.length === 0) return []
  return directory
    .all()
    .filter(
      (member) =>
        (member.state === 'suspect' || member.state === 'draining') &&
        member.procedures.has(REQUEST) &&
        !used.includes(member),
    )
}
