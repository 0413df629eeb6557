// Who gets the next request: what a policy is, and how it is asked. The policies are its neighbours.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { Candidate, Member } from '@clusterwire/core/peer'

/** Chooses a worker for each request. */
export interface Balancer {
  /**
   * Picks one of the workers that are ready, or none: then the request waits, and this is asked again when something has changed.
   *
   * @param candidates is never empty; `member.pending` counts the requests that a worker has not answered,
   *   `member.utilization` is the share of the last second in which its event loop was busy (0 to 1; `undefined` at first)
   * @param all the candidates, and the workers that have as many requests as `concurrency` allows: a request that is given to one of
   *   those waits until it is free
   */
  choose(
    candidates: readonly Candidate[],
    request: IncomingMessage,
    all: readonly Candidate[],
  ): Candidate | undefined
  /**
   * Told how a worker did: it began to answer a request after so many milliseconds, or ran out of time after so many.
   */
  observe?(member: Member, ms: number): void
  /** The cookie to set with the response of a request that goes to this worker; `undefined` for none. */
  cookieFor?(member: Member, request: IncomingMessage): string | undefined
}

/** A question to a balancer. */
export interface Question {
  readonly balancer: Balancer
  readonly candidates: readonly Candidate[]
  readonly all: readonly Candidate[]
  readonly request: IncomingMessage
}

/**
 * Asks a balancer, which need not be one of ours.
 *
 * @throws whatever it throws; InvalidOptionError when its answer is no candidate
 */
export function ask({ balancer, candidates, request, all }: Question): Candidate | undefined {
  const answer = balancer.choose(candidates, request, all)
  if (answer === undefined || all.includes(answer)) return answer
  // By member: one that it has kept since an earlier question is as good.
  const chosen = all.find(({ member }) => member === answer?.member)
  if (chosen !== undefined) return chosen
  throw new InvalidOptionError(
    'balance.choose() must return one of the candidates, or undefined to let the request wait',
  )
}

/**
 * Asks a balancer what cookie the client of a request is to get.
 *
 * @throws whatever it throws; InvalidOptionError when it is none
 */
export function askForCookie(
  balancer: Balancer,
  member: Member,
  request: IncomingMessage,
): string | undefined {
  const cookie = balancer.cookieFor?.(member, request)
  if (cookie === undefined || /^[\x20-\x7e]+$/.test(cookie)) return cookie
  throw new InvalidOptionError(
    `balance.cookieFor() must return the value of a Set-Cookie header, got ${JSON.stringify(cookie)}`,
  )
}
