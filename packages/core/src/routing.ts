// Which member a call goes to.

import type { Candidate, Directory, Member } from './directory.js'
import { InvalidOptionError, NoWorkerError, UnimplementedError } from './errors.js'
import { PRIMARY } from './frames.js'
import type { Peer } from './peer.js'

/** Where a client's calls go. Without any of these: to the ready worker with the fewest calls pending, each in its turn. */
export interface Target {
  /** One worker, by its number, or the primary. */
  readonly to?: number | 'primary' | undefined
}

/** Checks a target. Throws InvalidOptionError. */
export function checkTarget({ to }: Target): void {
  if (to === undefined || to === 'primary' || (Number.isInteger(to) && to >= 0 && to < 2 ** 32 - 1))
    return
  throw new InvalidOptionError(
    `client(contract, { to }): a worker's number or "primary" is allowed, got ${JSON.stringify(to)}`,
  )
}

/** What is to be routed. */
export interface Query {
  readonly procedure: string
  /** The caller's own version of the procedure. */
  readonly fingerprint: string
  readonly target: Target
  /** A member that has been tried already. */
  readonly not?: Member | undefined
}

/**
 * Chooses who answers.
 *
 * @throws NoWorkerError when nobody who could is there, UnimplementedError when those who are there do not serve it
 */
export function route(peer: Peer, query: Query): Candidate {
  const { directory } = peer
  const { procedure, target, not } = query
  if (target.to !== undefined) return one(directory, query, target.to)
  const all = directory.candidates(procedure)
  // A worker asks itself only when there is nobody else.
  const others = all.filter(({ member }) => member.number !== peer.number && member !== not)
  const chosen =
    directory.pick(sameVersion(others, query)) ?? (not === undefined ? all[0] : undefined)
  if (chosen !== undefined) return chosen
  if (directory.ready().length > 0 && all.length === 0)
    throw new UnimplementedError(
      `${procedure}: none of the ${directory.ready().length} ready workers serves it; call worker.serve() with its contract before worker.ready()`,
      { procedure },
    )
  throw new NoWorkerError(`${procedure}: no worker is ready to answer`, { procedure })
}

/** While two versions of a program run side by side, each asks its own kind, as long as there is one. */
function sameVersion(
  candidates: readonly Candidate[],
  { fingerprint }: Query,
): readonly Candidate[] {
  const same = candidates.filter((candidate) => candidate.fingerprint === fingerprint)
  return same.length > 0 ? same : candidates
}

function one(directory: Directory, { procedure }: Query, to: number | 'primary'): Candidate {
  const number = to === 'primary' ? PRIMARY : to
  const member = directory.get(number)
  // A worker that is named gets calls while it drains, too: whoever names it has a reason.
  if (member === undefined || member.state === 'joined')
    throw new NoWorkerError(
      `${procedure}: worker ${number} is ${member === undefined ? 'not in the cluster' : 'not ready yet'}`,
      { procedure },
    )
  const served = member.procedures.get(procedure)
  if (served === undefined)
    throw new UnimplementedError(`${procedure}: ${member} does not serve it`, { procedure })
  return { member, ...served }
}
