// Who gets the next request: a policy is one method.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { Candidate } from '@clusterwire/core/peer'

/** Chooses a worker for each request. */
export interface Balancer {
  /**
   * Picks one of the workers that are ready, or none: then the request waits, and this is asked again when something has changed.
   *
   * @param candidates is never empty; `member.pending` counts the requests that a worker has not answered
   */
  choose(candidates: readonly Candidate[], request: IncomingMessage): Candidate | undefined
}

/** A question to a balancer. */
export interface Question {
  readonly balancer: Balancer
  readonly candidates: readonly Candidate[]
  readonly request: IncomingMessage
}

/**
 * Asks a balancer, which need not be one of ours.
 *
 * @throws whatever it throws; InvalidOptionError when its answer is no candidate
 */
export function ask({ balancer, candidates, request }: Question): Candidate | undefined {
  const answer = balancer.choose(candidates, request)
  if (answer === undefined) return undefined
  // By member: one that it has kept since an earlier question is as good.
  const chosen = candidates.find(({ member }) => member === answer?.member)
  if (chosen !== undefined) return chosen
  throw new InvalidOptionError(
    'balance.choose() must return one of the candidates, or undefined to let the request wait',
  )
}

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
