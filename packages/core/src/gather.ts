// One call to every ready worker, and what became of each.

import { onAbort } from './abort.js'
import { tooLate } from './admission.js'
import { call, timeoutOf } from './call.js'
import type { Contract, Member as ContractMember, Named, Procedure } from './contract.js'
import { InvalidOptionError } from './errors.js'
import type { GatherClient, GatherOptions, Outcome, PeerInfo, Receipt } from './infer.js'
import { aroundCall } from './middleware.js'
import { givenUp, onGivenUp, scopeOf } from './origin.js'
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
 * it is over as soon as so many have answered; the calls to the others are then cancelled. The outcomes are in the members' order.
 */
async function gather(
  peer: Peer,
  procedure: Named<Procedure>,
  { input, options }: GatherRequest,
): Promise<Receipt<unknown>> {
  peer.assertOpen()
  const needed = neededOf(procedure, options)
  const deadline = peer.now() + timeoutOf(procedure, options)
  const members = peer.directory.ready()
  // Once for all: what does not fit says nothing about any member.
  const checked = validate(procedure.input, input, refuseRequest(procedure.name))
  let { timeout } = options
  if (checked instanceof Promise) {
    await accepted(peer, checked, { procedure, options, deadline })
    timeout = deadline - peer.now()
    if (timeout <= 0) throw tooLate(procedure.name)
  }
  const quorum = new Quorum(needed, options.signal)
  const callOptions = { ...options, timeout, signal: quorum.signal }
  try {
    const outcomes = await Promise.all(
      members.map(async (member): Promise<Outcome<unknown>> => {
        const who = infoOf(member)
        try {
          const route = new Route(peer, procedure, { to: member.number })
          const value = await call({ route, input, options: callOptions, isValid: true })
          quorum.count()
          return { member: who, status: 'applied', value }
        } catch (error) {
          if (quorum.reached && codeOf(error) === 'CANCELLED')
            return { member: who, status: 'cancelled' }
          return outcomeOf(who, error)
        }
      }),
    )
    return new CompleteReceipt(outcomes, endOf(outcomes, quorum.reached, options))
  } finally {
    quorum.close()
  }
}

/** Waits for an asynchronous schema, no longer than the gather may take. */
async function accepted(
  peer: Peer,
  checked: Promise<unknown>,
  parts: {
    readonly procedure: Named<Procedure>
    readonly options: GatherOptions
    readonly deadline: number
  },
): Promise<void> {
  const { procedure, options, deadline } = parts
  const { name } = procedure
  const scope = scopeOf(peer)
  const ms = Math.min(deadline, scope?.deadline ?? deadline) - peer.now()
  const release: (() => void)[] = []
  try {
    await new Promise<unknown>((resolve, reject) => {
      checked.then(resolve, reject)
      const up = givenUp(name, options.signal, scope)
      if (up !== undefined) return reject(up)
      release.push(peer.clock.after(Math.max(0, ms), () => reject(tooLate(name))))
      release.push(onGivenUp(name, { signal: options.signal, scope }, reject))
    })
  } finally {
    for (const run of release) run()
  }
}

/** Counts answers, and lets the other calls end when there are enough. */
class Quorum {
  /** Whether there are enough. */
  reached = false
  readonly #needed: number | undefined
  #counted = 0
  readonly #enough = new AbortController()
  readonly #forget: (() => void) | undefined

  /** @param needed undefined for all of them */
  constructor(needed: number | undefined, signal: AbortSignal | undefined) {
    this.#needed = needed
    if (signal?.aborted) this.#enough.abort(signal.reason)
    else this.#forget = signal && onAbort(signal, () => this.#enough.abort(signal.reason))
  }

  /** Aborts when there are enough, and when the caller's own signal does. */
  get signal(): AbortSignal {
    return this.#enough.signal
  }

  count(): void {
    this.#counted++
    if (this.#counted !== this.#needed || this.signal.aborted) return
    this.reached = true
    this.#enough.abort()
  }

  close(): void {
    this.#forget?.()
  }
}

/** How many answers are enough; `undefined` for all of them. */
function neededOf(
  procedure: Named<Procedure>,
  { quorum, first }: GatherOptions,
): number | undefined {
  if (first === true && quorum !== undefined)
    throw new InvalidOptionError(
      `${procedure.name}: "first" is a quorum of 1, and "quorum" says ${String(quorum)}; give one of them`,
      { procedure: procedure.name },
    )
  if (first === true) return 1
  if (quorum === undefined || (Number.isInteger(quorum) && quorum >= 1)) return quorum
  throw new InvalidOptionError(
    `${procedure.name}: "quorum" must be a whole number of answers, 1 or more, got ${String(quorum)}`,
    { procedure: procedure.name },
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
