// One call to every ready worker, and what became of each.

import { call } from './client.js'
import type { Contract, Member as ContractMember, Named, Procedure } from './contract.js'
import type { Member } from './directory.js'
import type { CallOptions, GatherClient, Outcome, Receipt } from './infer.js'
import type { Peer } from './peer.js'
import { CompleteReceipt, infoOf } from './receipt.js'
import { refuseRequest, validate } from './validate.js'

/** Makes a contract's procedures into methods that ask every worker that is ready when they are called. */
export function gatherClient<C extends Contract>(peer: Peer, contract: C): GatherClient<C> {
  const methods = (Object.entries(contract) as [string, Named<ContractMember>][]).flatMap(
    ([key, member]) =>
      member.kind === 'procedure'
        ? [[key, (input: unknown, options?: CallOptions) => gather(peer, member, input, options)]]
        : [],
  )
  return Object.freeze(Object.fromEntries(methods)) as GatherClient<C>
}

async function gather(
  peer: Peer,
  procedure: Named<Procedure>,
  input: unknown,
  options: CallOptions = {},
): Promise<Receipt<unknown>> {
  // Once for all: what does not fit says nothing about any member.
  await validate(procedure.input, input, refuseRequest(procedure.name))
  const outcomes = peer.directory.ready().map(async (member): Promise<Outcome<unknown>> => {
    const who = infoOf(member)
    try {
      const value = await call(peer, procedure, { to: member.number }, input, options)
      return { member: who, status: 'applied', value }
    } catch (error) {
      return outcomeOf(who, error)
    }
  })
  return new CompleteReceipt(await Promise.all(outcomes))
}

/** What a failed call says about its member. A mistake of the caller's own says nothing about any member, and is thrown. */
function outcomeOf(member: Pick<Member, 'number' | 'id'>, thrown: unknown): Outcome<unknown> {
  const error = thrown as Error & { readonly code?: string }
  switch (error.code) {
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
      return { member, status: 'failed', error }
  }
}
