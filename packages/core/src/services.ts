// What one peer serves, and the requests of others that it has not answered.

import type { Directory, Member } from './directory.js'
import {
  CancelledError,
  DeadlineExceededError,
  InvalidContractError,
  ProtocolError,
} from './errors.js'
import type { Exchanger } from './exchange.js'
import { CancelReason, type Frame } from './frames.js'
import { Caller, IncomingExchange } from './incoming.js'

/** Answers a procedure's requests. The frame is good until it returns. */
export type ExchangeHandler = (exchange: IncomingExchange, request: Frame) => void

/** How many procedures a frame's `ref` can tell apart. */
const MAX_PROCEDURES = 2 ** 16

/** The serving half of a peer. */
export class Services {
  readonly #peer: Exchanger
  readonly #directory: Directory
  /** An index here is what frames call the procedure. */
  readonly #procedures: { readonly name: string; readonly handle: ExchangeHandler }[] = []
  readonly #names = new Set<string>()
  /** Who has called this peer, by number. */
  readonly #callers = new Map<number, Caller>()

  constructor(peer: Exchanger, directory: Directory) {
    this.#peer = peer
    this.#directory = directory
  }

  /** Requests that have not been answered. */
  get open(): number {
    return [...this.#callers.values()].reduce((sum, caller) => sum + caller.open.size, 0)
  }

  /** @throws InvalidContractError when it is served already */
  add(name: string, handle: ExchangeHandler): void {
    if (this.#names.has(name))
      throw new InvalidContractError(`${name} is served already; a peer serves each procedure once`)
    if (this.#procedures.length >= MAX_PROCEDURES)
      throw new InvalidContractError(`${name}: a peer serves ${MAX_PROCEDURES} procedures at most`)
    this.#names.add(name)
    this.#procedures.push({ name, handle })
  }

  /** Takes an open frame. @throws ProtocolError */
  take(frame: Frame): void {
    const caller = this.#callerOf(frame)
    if (caller === undefined) return // Its end overtook its request.
    if (frame.id <= caller.lastId)
      throw new ProtocolError(
        `${caller.member} opened exchange ${frame.id} after ${caller.lastId}; ids must grow`,
      )
    caller.lastId = frame.id
    const procedure = this.#procedures[frame.ref]
    if (procedure === undefined)
      throw new ProtocolError(
        `${caller.member} called procedure ${frame.ref}; there are ${this.#procedures.length}`,
      )
    procedure.handle(new IncomingExchange(this.#peer, caller, procedure.name, frame), frame)
  }

  /** The request that a frame belongs to; undefined when it is over. @throws ProtocolError when it never was */
  find({ from, id }: Frame): IncomingExchange | undefined {
    const caller = this.#callers.get(from)
    if (caller !== undefined && id > caller.lastId)
      throw new ProtocolError(
        `${caller.member} sent a frame of exchange ${id}, which it never opened`,
      )
    return caller?.open.get(id)
  }

  /** The same, for a frame that is known to be wrong. */
  peek({ from, id }: Frame): IncomingExchange | undefined {
    return this.#callers.get(from)?.open.get(id)
  }

  /** Takes a cancel frame. */
  cancel(frame: Frame): void {
    const exchange = this.find(frame)
    if (exchange === undefined) return // It was answered while this was on its way.
    const { procedure } = exchange
    exchange.cancel(
      frame.arg === CancelReason.deadline
        ? new DeadlineExceededError(`${procedure}: the caller's time is up`, { procedure })
        : new CancelledError(`${procedure}: the caller cancelled`, { procedure }),
    )
  }

  /** A caller is gone: nobody waits for its answers. */
  gone(member: Member): void {
    for (const exchange of [...(this.#callers.get(member.number)?.open.values() ?? [])])
      exchange.cancel(new CancelledError(`${exchange.procedure}: its caller, ${member}, is gone`))
    this.#callers.delete(member.number)
  }

  #callerOf({ from }: Frame): Caller | undefined {
    let caller = this.#callers.get(from)
    if (caller === undefined) {
      const member = this.#directory.get(from)
      if (member === undefined) return undefined
      caller = new Caller(member)
      this.#callers.set(from, caller)
    }
    return caller
  }
}
