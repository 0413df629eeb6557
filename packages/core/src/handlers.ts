// A contract's procedures on the side that answers: each request is validated, handled, and its answer validated and sent.

import type { Contract, Member as ContractMember, Named, Procedure } from './contract.js'
import {
  ClusterwireError,
  DeclaredError,
  describeIssues,
  InvalidContractError,
  InvalidResponseError,
} from './errors.js'
import type { IncomingExchange } from './exchange.js'
import { describeError, describeThrown } from './failure.js'
import type { Failure, Frame } from './frames.js'
import type { ErrorMakers, HandlerContext, PeerInfo } from './infer.js'
import type { Peer } from './peer.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { refuseRequest, refuseResponse, validate } from './validate.js'

type Handler = (input: unknown, context: HandlerContext<Procedure>) => unknown

/**
 * Serves all procedures of a contract.
 *
 * @throws InvalidContractError when a handler is missing, is not a function, or has no procedure; nothing is served then
 */
export function serve(
  peer: Peer,
  contract: Contract,
  handlers: Readonly<Record<string, unknown>>,
): void {
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
    if (member.kind !== 'procedure')
      throw new InvalidContractError(`${member.name}: streams are not there yet`)
    const answer = new ProcedureAnswer(peer, member, handlers[key] as Handler)
    peer.serve(member.name, (exchange, request) => answer.handle(exchange, request))
  }
}

/** Answers one procedure. Nothing that a handler throws gets past it. */
class ProcedureAnswer {
  readonly #peer: Peer
  readonly #procedure: Named<Procedure>
  readonly #handler: Handler
  readonly #errors: ErrorMakers<Procedure>

  constructor(peer: Peer, procedure: Named<Procedure>, handler: Handler) {
    this.#peer = peer
    this.#procedure = procedure
    this.#handler = handler
    this.#errors = makersOf(procedure)
  }

  /** @throws MalformedError when the request's body is not one: the link that brought it is to blame */
  handle(exchange: IncomingExchange, request: Frame): void {
    const input = decodeValue(request.bytes, request.body, request.end)
    try {
      const valid = validate(this.#procedure.input, input, refuseRequest(this.#procedure.name))
      if (valid instanceof Promise)
        valid
          .then((value) => this.#run(exchange, value))
          .catch((error: unknown) => failSafely(exchange, this.#refusal(error)))
      else this.#run(exchange, valid)
    } catch (error) {
      failSafely(exchange, this.#refusal(error))
    }
  }

  #run(exchange: IncomingExchange, input: unknown): void {
    try {
      const result = this.#handler(input, new Context(exchange, this.#errors))
      if (isThenable(result))
        result.then(
          (output) => this.#answer(exchange, output),
          (thrown: unknown) => this.#threw(exchange, thrown),
        )
      else this.#answer(exchange, result)
    } catch (thrown) {
      this.#threw(exchange, thrown)
    }
  }

  #answer(exchange: IncomingExchange, output: unknown): void {
    const { output: schema, name } = this.#procedure
    if (exchange.over) return
    try {
      const valid =
        schema === undefined ? undefined : validate(schema, output, refuseResponse(name))
      if (valid instanceof Promise)
        valid
          .then((value) => exchange.reply(encodeValue, value))
          .catch((error: unknown) => failSafely(exchange, this.#refusal(error)))
      else exchange.reply(encodeValue, valid)
    } catch (error) {
      failSafely(exchange, this.#refusal(error))
    }
  }

  /** What validating or encoding threw: ours says what is wrong; anything else comes out of the user's schema or value. */
  #refusal(error: unknown): Failure {
    return error instanceof ClusterwireError
      ? describeError(error)
      : describeThrown(error, this.#peer.stacks)
  }

  #threw(exchange: IncomingExchange, thrown: unknown): void {
    const schema = declaredSchema(this.#procedure, thrown)
    if (schema === undefined) return failSafely(exchange, describeThrown(thrown, this.#peer.stacks))
    const { code, data, message } = thrown as DeclaredError
    const { name } = this.#procedure
    const refuse = (issues: Parameters<typeof describeIssues>[0]) =>
      new InvalidResponseError(
        `${name}: the handler threw ${code} with invalid data: ${describeIssues(issues)}`,
        { procedure: name, issues },
      )
    Promise.resolve()
      .then(() => validate(schema, data, refuse))
      .then(
        (valid) => ({ code, message, data: valid }),
        (error: unknown) => this.#refusal(error),
      )
      .then((failure) => failSafely(exchange, failure))
  }
}

function declaredSchema({ errors }: Procedure, thrown: unknown) {
  try {
    return thrown instanceof DeclaredError && Object.hasOwn(errors, thrown.code)
      ? errors[thrown.code]
      : undefined
  } catch {
    return undefined // A proxy that throws when looked at is no declared error.
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Fails an exchange, with less said when what is to be said can't be sent. */
function failSafely(exchange: IncomingExchange, failure: Failure): void {
  try {
    exchange.fail(failure)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it can not be encoded'
    const message = `${failure.message.slice(0, 1024)} (its details could not be sent: ${why})`
    exchange.fail({ code: 'HANDLER_ERROR', message })
  }
}

/** What a handler knows about its call. Its signal is made when looked at. */
class Context implements HandlerContext<Procedure> {
  readonly #exchange: IncomingExchange
  readonly errors: ErrorMakers<Procedure>

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
}

function makersOf({ errors, name }: Named<Procedure>): ErrorMakers<Procedure> {
  const makers = Object.keys(errors).map((code) => [
    code,
    (data: unknown, options = {}) =>
      new DeclaredError(code, data, { message: `${name}: ${code}`, ...options, procedure: name }),
  ])
  return Object.freeze(Object.fromEntries(makers))
}
