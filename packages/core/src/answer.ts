// One request on the side that answers: validated, handed to the handler, and its result given back. Nothing that a handler does gets
// past here.

import type { CallTrace, Channel } from './channels.js'
import type { Named, Procedure, Stream } from './contract.js'
import {
  DeclaredError,
  FrameTooLargeError,
  InvalidRequestError,
  InvalidResponseError,
  InvalidValueError,
  type OverloadedError,
} from './errors.js'
import {
  describe,
  describeDeclared,
  describeError,
  describeThrown,
  nameProcedure,
  tellSafely,
} from './failure.js'
import type { Failure, Frame } from './frames.js'
import type { IncomingExchange } from './incoming.js'
import type { ErrorMakers, HandlerContext, Meta, PeerInfo } from './infer.js'
import { Limiter } from './limiter.js'
import type { Peer } from './peer.js'
import type { Tally } from './stats.js'
import { isThenable } from './thenable.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { type Refuse, refuseRequest, refuseResponse, validate } from './validate.js'

/** A user's handler, as this sees it. */
export type AnyHandler = (input: unknown, context: HandlerContext<Procedure>) => unknown

/** What answering a procedure and answering a stream have in common. */
export abstract class Answer<M extends Named<Procedure> | Named<Stream>> {
  protected readonly member: M
  readonly #peer: Peer
  readonly #handler: AnyHandler
  readonly #errors: ErrorMakers<Procedure>
  readonly #limiter: Limiter | undefined
  readonly #tally: Tally
  readonly #refuseInput: Refuse
  /** Made when somebody watches. */
  readonly #traces = new WeakMap<IncomingExchange, CallTrace>()
  protected readonly refuseOutput: Refuse

  constructor(peer: Peer, member: M, handler: AnyHandler) {
    this.#peer = peer
    this.member = member
    this.#handler = handler
    this.#errors = makersOf(member)
    this.#tally = peer.stats.served(member.name)
    this.#refuseInput = refuseRequest(member.name)
    this.refuseOutput = refuseResponse(member.name)
    if (member.concurrency < Number.POSITIVE_INFINITY) {
      const limiter = new Limiter(member.name, member, peer.clock)
      this.#limiter = limiter
      peer.onClose(() => limiter.close())
    }
  }

  /** @throws MalformedError when the request's body is not one: the link that brought it is to blame */
  handle(exchange: IncomingExchange, request: Frame): void {
    const input = decodeValue(request.bytes, exchange.inputAt, request.end)
    const context = this.contextOf(exchange, this.#errors)
    try {
      const valid = validate(this.member.input, input, this.#refuseInput)
      if (valid instanceof Promise)
        valid
          .then((value) => this.#enter(exchange, value, context))
          .catch((error: unknown) => this.refuse(exchange, error))
      else this.#enter(exchange, valid, context)
    } catch (error) {
      this.refuse(exchange, error)
    }
  }

  protected contextOf(exchange: IncomingExchange, errors: ErrorMakers<Procedure>): Context {
    return new Context(exchange, errors)
  }

  /**
   * Gives the handler's result back. What it throws is refused.
   *
   * @returns when the handler goes on meanwhile, as a generator does: a promise, which never rejects, of its end
   */
  protected abstract give(
    exchange: IncomingExchange,
    result: unknown,
    context: Context,
  ): Promise<void> | undefined

  /** Fails with what validating or encoding threw: ours says what is wrong, anything else comes out of the user's schema or value. */
  protected refuse(exchange: IncomingExchange, error: unknown): void {
    this.#tell(this.#peer.channels?.['handle.error'], exchange, error)
    const { stacks } = this.#peer
    this.#fail(
      exchange,
      isAboutValue(error)
        ? describe(nameProcedure(this.member.name, error), stacks)
        : describeThrown(error, stacks),
    )
  }

  /** Fails with what the handler threw. */
  protected threw(exchange: IncomingExchange, thrown: unknown, _context: Context): void {
    this.#tell(this.#peer.channels?.['handle.error'], exchange, thrown)
    const { stacks } = this.#peer
    const declared = readDeclared(this.member.errors, thrown)
    if (declared === undefined) return this.#fail(exchange, describeThrown(thrown, stacks))
    const { schema, code, data, message } = declared
    const what = `data of the error ${code}`
    new Promise((resolve) =>
      resolve(validate(schema, data, refuseResponse(this.member.name, what))),
    ).then(
      (valid) =>
        this.#fail(exchange, describeDeclared({ code, message, data: valid }, thrown, stacks)),
      (error: unknown) => this.refuse(exchange, error),
    )
  }

  /** Fails, with less said when what is to be said can't be sent. */
  #fail(exchange: IncomingExchange, failure: Failure): void {
    this.#tally.failed(failure.code)
    tellSafely(failure, (one) => exchange.fail(one))
  }

  /** Runs the handler when it is this call's turn. */
  #enter(exchange: IncomingExchange, input: unknown, context: Context): void {
    if (exchange.over) return
    if (this.#limiter === undefined) return this.#run(exchange, input, context)
    const refuse = (error: OverloadedError) => {
      this.#tell(this.#peer.channels?.['handle.error'], exchange, error)
      this.#fail(exchange, describeError(error))
    }
    this.#limiter.enter(exchange, () => this.#run(exchange, input, context), refuse)
  }

  #run(exchange: IncomingExchange, input: unknown, context: Context): void {
    if (exchange.over) return this.#limiter?.leave() // It was given up while it waited for its turn.
    this.#tell(this.#peer.channels?.['handle.start'], exchange)
    this.#peer.handled++
    exchange.running = true
    const { scopes } = this.#peer
    // With what comes of it: a generator runs when its values are asked for.
    if (scopes.active) return scopes.run(exchange, () => this.#runHandler(exchange, input, context))
    const outer = scopes.entered(exchange)
    this.#runHandler(exchange, input, context)
    scopes.left(outer)
  }

  /** Never throws. */
  #runHandler(exchange: IncomingExchange, input: unknown, context: Context): void {
    let result: unknown
    try {
      result = this.#handler(input, context)
      if (isThenable(result)) {
        // One that settles twice would free two places.
        Promise.resolve(result).then(
          (value) => this.#give(exchange, value, context),
          (thrown: unknown) => this.#threw(exchange, thrown, context),
        )
        return
      }
    } catch (thrown) {
      this.#threw(exchange, thrown, context)
      return
    }
    this.#give(exchange, result, context)
  }

  #threw(exchange: IncomingExchange, thrown: unknown, context: Context): void {
    this.#ended(exchange)
    this.threw(exchange, thrown, context)
  }

  /** The handler has come to its end. The place is free only then, not when its caller has gone: what runs, runs. */
  #ended(exchange: IncomingExchange): void {
    if (exchange.abandoned) this.#peer.abandoned--
    exchange.running = false
    this.#limiter?.leave()
  }

  /** The handler has given something that nobody waits for any more. */
  protected unwanted(exchange: IncomingExchange, _result: unknown): void {
    this.#tell(this.#peer.channels?.['handle.end'], exchange)
  }

  /** The handler's whole answer has been given. */
  protected done(exchange: IncomingExchange): void {
    this.#tally.succeeded(this.#peer.now() - exchange.arrivedAt)
    this.#tell(this.#peer.channels?.['handle.end'], exchange)
  }

  #tell(channel: Channel | undefined, exchange: IncomingExchange, error?: unknown): void {
    if (channel?.hasSubscribers !== true) return
    let trace = this.#traces.get(exchange)
    if (trace === undefined) {
      const { number: peer } = this.#peer
      trace = { procedure: this.member.name, peer, other: exchange.member.number, error }
      this.#traces.set(exchange, trace)
    }
    trace.error = error
    channel.publish(trace)
  }

  #give(exchange: IncomingExchange, result: unknown, context: Context): void {
    let rest: Promise<void> | undefined
    try {
      if (exchange.over) this.unwanted(exchange, result)
      else rest = this.give(exchange, result, context)
    } catch (error) {
      this.refuse(exchange, error)
    }
    if (rest === undefined) this.#ended(exchange)
    else rest.then(() => this.#ended(exchange))
  }
}

/** Answers one procedure. */
export class ProcedureAnswer extends Answer<Named<Procedure>> {
  protected give(exchange: IncomingExchange, result: unknown): undefined {
    const { output: schema } = this.member
    if (schema === undefined) return this.#reply(exchange, undefined)
    const valid = validate(schema, result, this.refuseOutput)
    if (!(valid instanceof Promise)) return this.#reply(exchange, valid)
    valid
      .then((value) => this.#reply(exchange, value))
      .catch((error: unknown) => this.refuse(exchange, error))
  }

  #reply(exchange: IncomingExchange, value: unknown): undefined {
    try {
      exchange.reply(encodeValue, value)
    } catch (error) {
      throw unsendable(this.member.name, error)
    }
    this.done(exchange)
  }
}

/** What a handler knows about its call. Its signal is made when looked at. */
export class Context implements HandlerContext<Procedure> {
  readonly errors: ErrorMakers<Procedure>
  readonly #exchange: IncomingExchange

  constructor(exchange: IncomingExchange, errors: ErrorMakers<Procedure>) {
    this.#exchange = exchange
    this.errors = errors
  }

  get signal(): AbortSignal {
    return this.#exchange.signal
  }

  get deadline(): number {
    return this.#exchange.deadline
  }

  get from(): PeerInfo {
    return this.#exchange.member
  }

  get meta(): Meta {
    return this.#exchange.meta
  }
}

function makersOf({ errors, name }: Named<Procedure> | Named<Stream>): ErrorMakers<Procedure> {
  const makers = Object.keys(errors).map((code) => [
    code,
    (data: unknown, options = {}) =>
      new DeclaredError(code, data, { message: `${name}: ${code}`, ...options, procedure: name }),
  ])
  return Object.freeze(Object.fromEntries(makers))
}

/** What a declared error says, read once: a proxy that throws when looked at is none. */
function readDeclared(errors: Procedure['errors'], thrown: unknown) {
  try {
    if (!(thrown instanceof DeclaredError) || !Object.hasOwn(errors, thrown.code)) return undefined
    const { code, data, message } = thrown
    return { schema: errors[code], code, data, message }
  } catch {
    return undefined
  }
}

/** Whether this says that a value does not fit or can't be sent. Any other error of ours that a schema throws is just something thrown. */
function isAboutValue(error: unknown): boolean {
  try {
    return [InvalidRequestError, InvalidResponseError, InvalidValueError, FrameTooLargeError].some(
      (kind) => error instanceof kind,
    )
  } catch {
    return false
  }
}

/** The caller must not take it for something about what it sent: the handler has run. */
function unsendable(procedure: string, cause: unknown): InvalidResponseError {
  const message = `the answer can't be sent: ${cause instanceof Error ? cause.message : 'it can not be encoded'}`
  return new InvalidResponseError(`${procedure}: ${message}`, {
    procedure,
    cause,
    issues: [{ message }],
  })
}
