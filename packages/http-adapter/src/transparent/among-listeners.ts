// A balancer for one port: it chooses as another does, among the workers that listen there.

import type { Candidate } from '@clusterwire/core/peer'
import type { Balancer } from '../balancer/balancer.js'

/**
 * Restricts a balancer. Where nobody listens now, requests wait.
 *
 * @param workers the numbers of those that listen, as they change
 */
export function amongListeners(balancer: Balancer, workers: ReadonlySet<number>): Balancer {
  return {
    choose(candidates, request, all) {
      const [free, here] = [among(candidates, workers), among(all, workers)]
      return free.length === 0 ? undefined : balancer.choose(free, request, here)
    },
    observe: (member, ms) => balancer.observe?.(member, ms),
    cookieFor: (member, request) => balancer.cookieFor?.(member, request),
  }
}

/** Nearly always it is all of them. */
function among(
  candidates: readonly Candidate[],
  workers: ReadonlySet<number>,
): readonly Candidate[] {
  for (let i = 0; i < candidates.length; i++)
    if (!workers.has((candidates[i] as Candidate).member.number))
      return candidates.filter(({ member }) => workers.has(member.number))
  return candidates
}
