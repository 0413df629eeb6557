// One call to every ready worker, and what became of each.

import { call } from './call.js'
import type { Contract, Member as ContractMember, Named, Procedure } from './contract.js'
import { InvalidOptionError } from './errors.js'
import type { GatherClient, GatherOptions, Outcome, PeerInfo, Receipt } from './infer.js'
import { aroundCall } from './middleware.js'
import type { Peer } from './peer.js'
import { CompleteReceipt, infoOf } from './receipt.js'
import { Route, type Target } from './routing.js'
import { refuseRequest, validate } from './validate.js'

/** Makes a contract's procedures into methods that ask every worker that is ready when they are called. */
export function gatherClient<C extends Contract>(
  peer: Peer,
  contract: C,
  { use = [] }: Pick<Target, 'use'>,
): GatherClient<C> {
  const methods = (Object.entries(contract) as [string, Named<ContractMember>][]).flatMap(
    ([key, member]) => {
      if (member.kind !== 'procedure') return []
      const outgoing = { kind: 'gather', procedure: member.name } as const
      const run = aroundCall(outgoing, use, (input, options) =>
        gather(peer, member, { input, options }),
      )
      return [[key, (input: unknown, options: GatherOptions = {}) => run(input, options)]]
    },
  )
  return Object.freeze(Object.fromEntries(methods)) as GatherClient<C>
}

interface GatherRequest {
  readonly input: unknown
  readonly options: GatherOptions
}

/**
 * The members are those that are ready now: one that dies is settled, one that is started meanwhile is not waited for. With a quorum,
 * it is over as soon as so many have answered; the calls to the others are then cancelled.
 */
async function gather(
  peer: Peer,
  procedure: Named<Procedure>,
  { input, options }: GatherRequest,
): Promise<Receipt<unknown>> {
  peer.assertOpen()
  const needed = neededOf(procedure, options)
  const members = peer.directory.ready()
  // Once for all: what does not fit says nothing about any member.
  await validate(procedure.input, input, refuseRequest(procedure.name))
  const enough = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, enough.signal]) : enough.signal
  const callOptions = needed === undefined ? options : { ...options, signal }
  let applied = 0
  const outcomes = await Promise.all(
    members.map(async (member): Promise<Outcome<unknown>> => {
      const who = infoOf(member)
      try {
        const value = await call({
          route: new Route(peer, procedure, { to: member.number }),
          input,
          options: callOptions,
        })
        applied++
        if (applied === needed) enough.abort()
        return { member: who, status: 'applied', value }
      } catch (error) {
        if (enough.signal.aborted && codeOf(error) === 'CANCELLED')
          return { member: who, status: 'cancelled' }
        return outcomeOf(who, error)
      }
    }),
  )
  return new CompleteReceipt(outcomes, endOf(outcomes, enough.signal.aborted, options))
}

/** How many answers are enough; `undefined` for all of them. */
function neededOf(
  procedure: Named<Procedure>,
  { quorum, first }: GatherOptions,
): number | undefined {
  if (first === true) return 1
  if (quorum === undefined || (Number.isInteger(quorum) && quorum >= 1)) return quorum
  throw new InvalidOptionError(
    `${procedure.name}: "quorum" must be a whole number of answers, 1 or more, got ${String(quorum)}`,
  )
}

function endOf(
  outcomes: readonly Outcome<unknown>[],
  enough: boolean,
  { first }: GatherOptions,
): Receipt['ended'] {
  if (enough) return first === true ? 'first' : 'quorum'
  return outcomes.some(({ status }) => status === 'timed-out') ? 'timeout' : 'complete'
}

function codeOf(error: unknown): string | undefined {
  return (error as { readonly code?: string }).code
}

/** What a failed call says about its member. A mistake of the caller's own says nothing about any member, and is thrown. */
function outcomeOf(member: PeerInfo, error: unknown): Outcome<unknown> {
  switch (codeOf(error)) {
    case 'WORKER_LOST':
    case 'NO_WORKER':
      return { member, status: 'exited' }
    case 'DEADLINE_EXCEEDED':
      return { member, status: 'timed-out' }
    case 'UNIMPLEMENTED':
      return { member, status: 'no-subscriber' }
    case 'CANCELLED':
    case 'INVALID_OPTION':
    case 'INVALID_VALUE':
    case 'FRAME_TOO_LARGE':
    case 'PEER_CLOSED':
      throw error
    default:
      return { member, status: 'failed', error: error as Error }
  }
}
