// A contract as an object of methods: each call is validated, routed, sent, and settled by its answer.

import type { Contract, Member as ContractMember, Named, Procedure } from './contract.js'
import { MAX_TIMEOUT } from './contract.js'
import type { Member } from './directory.js'
import {
  CancelledError,
  type ClusterwireError,
  InvalidOptionError,
  NoWorkerError,
  WorkerLostError,
} from './errors.js'
import type { CallerEvents, OutgoingExchange } from './exchange.js'
import { fingerprintOf } from './fingerprint.js'
import type { Frame } from './frames.js'
import type { CallOptions, Client } from './infer.js'
import type { Peer } from './peer.js'
import { checkTarget, route, type Target } from './routing.js'
import { callStream } from './stream-call.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { refuseRequest, validate } from './validate.js'

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
    Object.defineProperty(prototype, key, {
      enumerable: true,
      get(this: { readonly [TARGET]: Target }) {
        const value = methodOf(peer, member, this[TARGET])
        Object.defineProperty(this, key, { value, enumerable: true })
        return value
      },
    })
  }
  return Object.freeze(prototype)
}

function methodOf(peer: Peer, member: Named<ContractMember>, target: Target): Method {
  if (member.kind === 'procedure')
    return (input, options = {}) => call(peer, member, target, input, options)
  const stream = member as Extract<typeof member, { kind: 'stream' }>
  return (input, options = {}) => callStream({ peer, stream, target, input, options })
}

/** Calls a procedure. Everything that goes wrong is a rejection. */
export function call(
  peer: Peer,
  procedure: Named<Procedure>,
  target: Target,
  input: unknown,
  options: CallOptions,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const run = new Call({ peer, procedure, target, input, options, resolve, reject })
    const checked = validate(procedure.input, input, refuseRequest(procedure.name))
    // What is sent is what the caller gave: the handler's side applies the schema's transforms, and only it.
    if (checked instanceof Promise) checked.then(() => run.start()).catch(reject)
    else run.start()
  })
}

interface CallParts {
  readonly peer: Peer
  readonly procedure: Named<Procedure>
  readonly target: Target
  readonly input: unknown
  readonly options: CallOptions
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** One call, through at most two attempts. */
class Call implements CallerEvents {
  readonly #parts: CallParts
  /** When the caller's time is up, over all attempts. */
  readonly #deadline: number
  #exchange: OutgoingExchange | undefined
  #onAbort: (() => void) | undefined
  #attempts = 0

  constructor(parts: CallParts) {
    this.#parts = parts
    this.#deadline = parts.peer.now() + timeoutOf(parts)
  }

  /** @throws what can be told before anything is sent */
  start(): void {
    const { options, procedure } = this.#parts
    const { signal } = options
    if (signal?.aborted) throw cancelled(procedure, signal)
    if (signal !== undefined) {
      this.#onAbort = () => this.#exchange?.cancel(cancelled(procedure, signal))
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    try {
      this.#attempt()
    } catch (error) {
      this.#forgetSignal()
      throw error
    }
  }

  reply(frame: Frame): void {
    this.#forgetSignal()
    this.#parts.resolve(decodeValue(frame.bytes, frame.body, frame.end))
  }

  error(error: ClusterwireError): void {
    if (this.#mayTryAgain(error)) {
      try {
        return this.#attempt(this.#exchange?.member)
      } catch (second) {
        // Nobody else is there: the first error says more than that.
        if (!(second instanceof NoWorkerError)) error = second as ClusterwireError
      }
    }
    this.#forgetSignal()
    this.#parts.reject(error)
  }

  #attempt(not?: Member): void {
    const { peer, procedure, target, input } = this.#parts
    this.#attempts++
    const timeout = this.#deadline - peer.now()
    const { name } = procedure
    const { member, ref } = route(peer, {
      procedure: name,
      fingerprint: fingerprintOf(procedure),
      target,
      not,
    })
    this.#exchange = peer.open({
      member,
      ref,
      procedure: name,
      encode: encodeValue,
      input,
      timeout,
      upload: false,
      events: this,
    })
  }

  /** A second attempt, elsewhere, is allowed where the first certainly never ran, or where running twice does no harm. */
  #mayTryAgain(error: ClusterwireError): boolean {
    const { peer, procedure, target } = this.#parts
    return (
      error instanceof WorkerLostError &&
      (error.started === 'no' || procedure.idempotent) &&
      this.#attempts < 2 &&
      target.to === undefined &&
      !peer.closed &&
      peer.now() < this.#deadline
    )
  }

  #forgetSignal(): void {
    if (this.#onAbort === undefined) return
    this.#parts.options.signal?.removeEventListener('abort', this.#onAbort)
  }
}

function cancelled(procedure: Named<Procedure>, signal: AbortSignal): CancelledError {
  return new CancelledError(`${procedure.name}: the caller aborted it`, {
    procedure: procedure.name,
    cause: signal.reason,
  })
}

function timeoutOf({ procedure, options }: CallParts): number {
  const { timeout } = options
  if (timeout === undefined) return procedure.timeout
  if (timeout > 0 && timeout <= MAX_TIMEOUT) return timeout
  throw new InvalidOptionError(
    `${procedure.name}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
    { procedure: procedure.name },
  )
}
