// Which worker gets a request next, if any can.

import type { IncomingMessage } from 'node:http'
import type { Candidate, Member } from '@clusterwire/core/peer'
import { ask, askForCookie } from '../balancer/balancer.js'
import { REQUEST } from '../wire.js'
import type { Desk } from './desk.js'

/** A worker, and what its client is to keep of that. */
export interface Choice {
  readonly candidate: Candidate
  /** The value of a Set-Cookie header. */
  readonly cookie: string | undefined
}

/**
 * Chooses a worker for a request. None: it `stays` in the queue, because of its own choice; or it is `blocked`, because nobody is free for
 * any request.
 *
 * @param lost workers that are not to get it, because they were lost with it
 * @throws what the balancer throws; InvalidOptionError when it answers with nonsense
 */
export function chooseWorker(
  { peer, loads, balancer }: Desk,
  request: IncomingMessage,
  lost: ReadonlySet<Member> | undefined,
): Choice | 'stays' | 'blocked' {
  const ready = peer.directory.candidates(REQUEST)
  const free = loads.limited ? ready.filter(({ member }) => loads.isFree(member)) : ready
  if (free.length === 0) return 'blocked'
  const candidates = without(free, lost)
  if (candidates.length === 0) return 'stays'
  const all = free === ready ? candidates : without(ready, lost)
  const candidate = ask({ balancer, candidates, all, request })
  if (candidate === undefined) return 'stays'
  if (all !== candidates && !loads.isFree(candidate.member)) return 'stays'
  return { candidate, cookie: askForCookie(balancer, candidate.member, request) }
}

function without(
  candidates: readonly Candidate[],
  lost: ReadonlySet<Member> | undefined,
): readonly Candidate[] {
  return lost === undefined ? candidates : candidates.filter(({ member }) => !lost.has(member))
}
