// How a call or a stream gets to a worker: at once when one is ready, else from the waiting room; and whether it may be tried once more.

import type { Named, Procedure, Stream } from './contract.js'
import type { Candidate, Member } from './directory.js'
import {
  type ClusterwireError,
  DeadlineExceededError,
  NoWorkerError,
  OverloadedError,
  WorkerLostError,
} from './errors.js'
import type { Route } from './routing.js'

/** What is to be sent. */
export interface Applicant {
  readonly route: Route<Named<Procedure> | Named<Stream>>
  /** When its time is up, on the peer's clock; `Infinity` for never. */
  readonly deadline: number
  /** Whether it waits when no worker is ready. */
  readonly patient: boolean
  /** Sends it to the worker that was chosen. */
  attempt(candidate: Candidate, now: number): void
  /** There was no worker in time, or `attempt` threw when it was no longer being waited for. */
  fail(error: ClusterwireError): void
}

/**
 * Sends it, now or when a worker gets ready. Returns what takes it out of the waiting room; undefined when it is not there.
 *
 * @param not a member that has been tried already
 * @throws what `attempt` throws; UnimplementedError, OverloadedError; NoWorkerError when it was for one certain worker
 */
export function admit(
  applicant: Applicant,
  now: number,
  not: Member | undefined,
): (() => void) | undefined {
  const { deadline, route } = applicant
  const { member: procedure, peer, target } = route
  try {
    applicant.attempt(route.choose(not), now)
    return undefined
  } catch (error) {
    if (!(error instanceof NoWorkerError && target.to === undefined && applicant.patient))
      throw error
  }
  const { limit, timeout } = procedure.queue
  return peer.waiting.enter(
    {
      procedure: procedure.name,
      limit,
      timeout: Math.min(timeout, deadline - now),
      choose: () => route.choose(not),
      admit(candidate) {
        try {
          applicant.attempt(candidate, peer.now())
        } catch (error) {
          applicant.fail(error as ClusterwireError)
        }
      },
      refuse: (error) => applicant.fail(peer.now() < deadline ? error : tooLate(procedure.name)),
    },
    now,
  )
}

/** A second attempt, elsewhere, is allowed where the first certainly never ran, or where running twice does no harm. */
export function mayTryAgain(
  { deadline, route }: Pick<Applicant, 'deadline' | 'route'>,
  error: ClusterwireError,
): boolean {
  const { member, peer, target } = route
  if (target.to !== undefined || peer.closed || peer.now() >= deadline) return false
  // A key's calls stay at its place, even when they have to come again.
  if (error instanceof OverloadedError) return target.key === undefined && peer.retries.withdraw()
  if (!(error instanceof WorkerLostError)) return false
  // What was never handed over is not tried again but for the first time: that costs nothing.
  const idempotent = member.kind === 'procedure' && member.idempotent
  return error.started === 'no' || (idempotent && peer.retries.withdraw())
}

/** What something fails with whose time was up while it waited on this side: for a worker, or for a schema. */
export function tooLate(procedure: string): DeadlineExceededError {
  return new DeadlineExceededError(`${procedure}: its time was up while it was waiting here`, {
    procedure,
  })
}
