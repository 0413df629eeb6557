// Which worker gets a request next, if any can.

import type { IncomingMessage } from 'node:http'
import type { Candidate } from '@clusterwire/core/peer'
import { ask } from '../balancer/balancer.js'
import { REQUEST } from '../wire.js'
import type { Desk } from './desk.js'

/** What is to be given to a worker. */
export interface Wish {
  readonly req: IncomingMessage
  /** What answers it. */
  readonly procedure: string
}

/**
 * Chooses a worker for a request. None: it `stays` in the queue, because of its own choice; or it is `blocked`, because nobody is free for
 * any request.
 *
 * @throws what the balancer throws; InvalidOptionError when it answers with nonsense
 */
export function chooseWorker(
  { workers, loads, balancer }: Desk,
  { req, procedure }: Wish,
): Candidate | 'stays' | 'blocked' {
  const ready = workers.candidates(procedure)
  const free = loads.limited ? ready.filter(({ member }) => loads.isFree(member)) : ready
  // Not every worker that takes requests need take upgrades.
  if (free.length === 0) return procedure === REQUEST ? 'blocked' : 'stays'
  const candidate = ask({ balancer, candidates: free, all: ready, request: req })
  if (candidate === undefined) return 'stays'
  return free === ready || loads.isFree(candidate.member) ? candidate : 'stays'
}
