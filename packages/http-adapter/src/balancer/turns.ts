// The policies that count and need nothing else: fewest pending, and each in its turn.

import type { Candidate } from '@clusterwire/core/peer'
import type { Balancer } from './balancer.js'

/** Creates the default policy: the worker with the fewest requests pending; among equals, each in its turn. */
export function leastPending(): Balancer {
  let turn = 0
  return {
    choose(candidates) {
      const count = candidates.length
      turn = (turn + 1) % count
      let best = candidates[turn] as Candidate
      for (let step = 1; step < count && best.member.pending > 0; step++) {
        const candidate = candidates[(turn + step) % count] as Candidate
        if (candidate.member.pending < best.member.pending) best = candidate
      }
      return best
    },
  }
}

/** Creates the policy that gives each worker its turn, however busy it is. */
export function roundRobin(): Balancer {
  let turn = 0
  return {
    choose(candidates) {
      turn = (turn + 1) % candidates.length
      return candidates[turn]
    },
  }
}
