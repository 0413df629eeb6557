// A contract's procedures and streams put in service.

import { type AnyHandler, ProcedureAnswer } from './answer.js'
import type { Contract, Member as ContractMember, Named } from './contract.js'
import { InvalidContractError } from './errors.js'
import { fingerprintOf } from './fingerprint.js'
import { around, type Middleware } from './middleware.js'
import type { Peer } from './peer.js'
import { StreamAnswer } from './stream-answer.js'

/** What serves a contract. */
export interface Offer {
  readonly handlers: Readonly<Record<string, unknown>>
  /** Runs around each handler, the first outermost. Default none */
  readonly middleware?: readonly Middleware[]
}

/**
 * Serves all procedures and streams of a contract.
 *
 * @throws InvalidContractError when a handler is missing, is not a function, or has no procedure; nothing is served then
 */
export function serve(peer: Peer, contract: Contract, { handlers, middleware = [] }: Offer): void {
  const members = Object.entries(contract) as [string, Named<ContractMember>][]
  const served = members.filter(([, member]) => member.kind !== 'topic')
  for (const [key, member] of served)
    if (typeof handlers[key] !== 'function')
      throw new InvalidContractError(
        `${member.name} needs a handler: serve(contract, { ${key}: … })`,
      )
  for (const key of Object.keys(handlers))
    if (!served.some(([name]) => name === key))
      throw new InvalidContractError(
        `serve(): "${key}" is no procedure or stream of the contract; it has ${served.map(([name]) => name).join(', ')}`,
      )
  for (const [key, member] of served) {
    const handler = around(member.name, middleware, handlers[key] as AnyHandler)
    const answer = answerOf(peer, member, handler)
    const fingerprint = fingerprintOf(member as Parameters<typeof fingerprintOf>[0])
    peer.serve(member.name, (exchange, request) => answer.handle(exchange, request), fingerprint)
  }
}

function answerOf(peer: Peer, member: Named<ContractMember>, handler: AnyHandler) {
  return member.kind === 'stream'
    ? new StreamAnswer(peer, member, handler)
    : new ProcedureAnswer(peer, member as Extract<typeof member, { kind: 'procedure' }>, handler)
}
