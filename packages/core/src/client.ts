// A contract as an object of methods.

import { call } from './call.js'
import type { Contract, Member as ContractMember, Named, Stream } from './contract.js'
import type { CallOptions, Client } from './infer.js'
import { aroundCall, aroundStream } from './middleware.js'
import type { Peer } from './peer.js'
import { checkTarget, Route, type Target, type Turn } from './routing.js'
import { callStream, type StreamOptions } from './stream-call.js'
import { awaitable } from './upload-call.js'
import { closeSource } from './values.js'

/** Makes the clients of one peer. */
export class Clients {
  readonly #peer: Peer
  /** What the clients of a contract have in common. */
  readonly #prototypes = new WeakMap<Contract, object>()

  constructor(peer: Peer) {
    this.#peer = peer
  }

  /** Creates a client. Cheap: its methods are made when first used. */
  create<C extends Contract>(contract: C, target: Target): Client<C> {
    checkTarget(target)
    let prototype = this.#prototypes.get(contract)
    if (prototype === undefined) {
      prototype = prototypeOf(contract, this.#peer)
      this.#prototypes.set(contract, prototype)
    }
    return Object.create(prototype, { [TARGET]: { value: target } }) as Client<C>
  }
}

const TARGET: unique symbol = Symbol('clusterwire.target')

type Method = (input?: unknown, options?: CallOptions) => unknown

/** One getter for each member, which puts the finished method in its own place: bound, so that it can be taken off the client. */
function prototypeOf(contract: Contract, peer: Peer): object {
  const prototype = Object.create(null) as object
  for (const [key, member] of Object.entries(contract) as [string, Named<ContractMember>][]) {
    if (member.kind === 'topic') continue
    const turn: Turn = { next: 0 }
    Object.defineProperty(prototype, key, {
      enumerable: true,
      get(this: { readonly [TARGET]: Target }) {
        const value = methodOf(peer, member, { target: this[TARGET], turn })
        Object.defineProperty(this, key, { value, enumerable: true })
        return value
      },
    })
  }
  return Object.freeze(prototype)
}

function methodOf(
  peer: Peer,
  member: Named<ContractMember>,
  { target, turn }: { target: Target; turn: Turn },
): Method {
  if (member.kind === 'procedure') {
    const route = new Route(peer, member, target, turn)
    const { use = [] } = target
    const outgoing = { kind: 'call', procedure: member.name } as const
    const run = aroundCall(outgoing, use, (input, options) => call({ route, input, options }))
    return (input, options = {}) => run(input, options)
  }
  return streamMethodOf(peer, member as Named<Stream>, { target, turn })
}

function streamMethodOf(
  peer: Peer,
  stream: Named<Stream>,
  { target, turn }: { target: Target; turn: Turn },
): Method {
  const route = new Route(peer, stream, target, turn)
  const { use = [] } = target
  const begin = aroundStream(stream.name, use, {
    begin: (input, options) => callStream({ route, input, options }),
    drop: ({ upload }: StreamOptions) => closeSource(upload),
  })
  return (input, options = {}) => {
    const values = begin(input, options)
    return stream.upload === undefined ? values : awaitable(stream, values)
  }
}
