// One call of a procedure on the caller's side: routed, sent, tried once more where that does no harm, and settled exactly once.

import { onAbort } from './abort.js'
import type { CallTrace } from './channels.js'
import { isTimeout, MAX_TIMEOUT } from './contract.js'
import type { Candidate } from './directory.js'
import {
  CancelledError,
  type ClusterwireError,
  DeadlineExceededError,
  InvalidOptionError,
  InvalidRequestError,
  NoWorkerError,
  OverloadedError,
  UnimplementedError,
  WorkerLostError,
} from './errors.js'
import { isPlain } from './fingerprint.js'
import type { Frame } from './frames.js'
import type { IncomingExchange } from './incoming.js'
import type { CallOptions } from './infer.js'
import { originOf, scopeOf } from './origin.js'
import type { CallerEvents, Origin, OutgoingExchange } from './outgoing.js'
import type { Route } from './routing.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { type Refuse, validate } from './validate.js'

/** What a call is made of. */
export interface CallRequest {
  readonly route: Route
  readonly input: unknown
  readonly options: CallOptions
}

/** Calls a procedure. Everything that goes wrong is a rejection. */
export function call(request: CallRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const running = new Call(request, resolve, reject)
    const { route, input } = request
    const checked = validate(route.member.input, input, route.refuseInput)
    // What is sent is what the caller gave: the handler's side applies the schema's transforms, and only it.
    if (checked instanceof Promise)
      checked.then(() => running.start(route.peer.now())).catch(reject)
    else running.start(running.begunAt)
  })
}

/** A call, through at most two attempts. */
class Call implements CallerEvents {
  readonly #request: CallRequest
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: unknown) => void
  /** The request that is being handled where this call is made; undefined when none is, or when it is over. */
  readonly #scope: IncomingExchange | undefined
  readonly begunAt: number
  /** When the caller's time is up, over all attempts. */
  readonly #deadline: number
  #exchange: OutgoingExchange | undefined
  #served: Candidate | undefined
  #retried = false
  #settled = false
  /** Where the call was made, when that is to be told. */
  readonly #site: { stack?: string } | undefined
  /** Made when somebody watches. */
  #trace: CallTrace | undefined
  /** Takes back what waits for an abort, a cancellation or a worker. */
  #release: (() => void)[] | undefined

  constructor(
    request: CallRequest,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request
    this.#resolve = resolve
    this.#reject = reject
    const { peer } = request.route
    this.#scope = scopeOf(peer)
    if (peer.callSites) {
      this.#site = {}
      Error.captureStackTrace(this.#site, call)
    }
    this.begunAt = peer.now()
    const own = this.begunAt + timeoutOf(request)
    this.#deadline = Math.min(own, this.#scope?.deadline ?? own)
  }

  /** @throws what can be told before anything is sent */
  start(now: number): void {
    const { options, route } = this.#request
    const { member: procedure, peer } = route
    const { signal } = options
    if (signal?.aborted) throw this.#cancelled(signal.reason)
    if (this.#scope?.over && this.#scope.signal.aborted)
      throw this.#cancelled(this.#scope.signal.reason)
    if (this.#deadline <= now)
      throw new DeadlineExceededError(
        `${procedure.name}: the time of the request that makes this call is up`,
        { procedure: procedure.name },
      )
    peer.retries.deposit()
    this.#tell('call.start')
    try {
      this.#begin(now)
    } catch (error) {
      return this.#fail(error as ClusterwireError)
    }
    if (this.#settled) return
    if (signal !== undefined) {
      this.#onRelease(onAbort(signal, () => this.#cancel(signal.reason)))
    }
    if (this.#scope !== undefined)
      this.#onRelease(this.#scope.onCancel((reason) => this.#cancel(reason)))
  }

  reply(frame: Frame): void {
    const value = decodeValue(frame.bytes, frame.body, frame.end)
    const { route } = this.#request
    const { member: procedure } = route
    const served = this.#served
    // The handler has validated its answer, but by another version of the contract.
    if (served === undefined || !route.differs(served) || !isPlain(procedure.output))
      return this.#succeed(value)
    const refuse: Refuse = (issues) => route.incompatible(served, 'output', issues)
    new Promise((resolve) => resolve(validate(procedure.output, value, refuse))).then(
      (valid) => this.#succeed(valid),
      (error: ClusterwireError) => this.#fail(error),
    )
  }

  error(error: ClusterwireError): void {
    if (this.#mayTryAgain(error)) {
      this.#retried = true
      const tried = this.#exchange?.member
      try {
        return this.#attempt(this.#request.route.choose(tried))
      } catch (second) {
        // Nobody else is there: the first error says more than that.
        if (!(second instanceof NoWorkerError || second instanceof UnimplementedError))
          return this.#fail(second as ClusterwireError)
      }
    }
    // The input passed here: it is the handler's version of the schema that refuses it.
    const { route } = this.#request
    if (error instanceof InvalidRequestError && this.#served && route.differs(this.#served))
      return this.#fail(route.incompatible(this.#served, 'input', error.issues))
    this.#fail(error)
  }

  /** Sends it, or lets it wait for a worker. */
  #begin(now: number): void {
    const { route } = this.#request
    const { member: procedure, peer } = route
    try {
      return this.#attempt(route.choose(), now)
    } catch (error) {
      if (!(error instanceof NoWorkerError) || route.target.to !== undefined) throw error
    }
    const { limit, timeout } = procedure.queue
    const leave = peer.waiting.enter(
      {
        procedure: procedure.name,
        limit,
        timeout: Math.min(timeout, this.#deadline - now),
        choose: () => route.choose(),
        admit: (candidate) => {
          try {
            this.#attempt(candidate)
          } catch (error) {
            this.#fail(error as ClusterwireError)
          }
        },
        refuse: (error) => this.#fail(peer.now() < this.#deadline ? error : this.#tooLate()),
      },
      now,
    )
    this.#onRelease(leave)
  }

  #attempt(candidate: Candidate, now: number = this.#request.route.peer.now()): void {
    const { route, input } = this.#request
    const { member: procedure, peer } = route
    if (this.#deadline <= now) throw this.#tooLate()
    this.#served = candidate
    this.#exchange = peer.open({
      member: candidate.member,
      ref: candidate.ref,
      procedure: procedure.name,
      encode: encodeValue,
      input,
      timeout: this.#deadline - now,
      deadline: this.#deadline,
      upload: false,
      origin: this.#origin(),
      events: this,
    })
  }

  #origin(): Origin | undefined {
    return originOf(this.#request.route.member.name, this.#request.options, this.#scope)
  }

  /** A second attempt, elsewhere, is allowed where the first certainly never ran, or where running twice does no harm. */
  #mayTryAgain(error: ClusterwireError): boolean {
    const { member: procedure, peer, target } = this.#request.route
    if (this.#retried || target.to !== undefined || peer.closed || peer.now() >= this.#deadline)
      return false
    // A key's calls stay at its place, even when they have to come again.
    if (error instanceof OverloadedError) return target.key === undefined && peer.retries.withdraw()
    if (!(error instanceof WorkerLostError)) return false
    // What was never handed over is not tried again but for the first time: that costs nothing.
    return error.started === 'no' || (procedure.idempotent && peer.retries.withdraw())
  }

  #cancel(reason: unknown): void {
    if (this.#settled) return
    this.#exchange?.abandon()
    this.#fail(this.#cancelled(reason))
  }

  #succeed(value: unknown): void {
    this.#settle()
    this.#tell('call.end')
    this.#resolve(value)
  }

  #fail(error: ClusterwireError): void {
    this.#settle()
    this.#tell('call.error', error)
    // Its own stack ends in the socket; what its reader looks for is the line that made the call.
    const stack = this.#site?.stack
    if (stack !== undefined)
      error.stack = `${error.name}: ${error.message}${stack.slice(stack.indexOf('\n'))}`
    this.#reject(error)
  }

  #tell(name: 'call.start' | 'call.end' | 'call.error', error?: unknown): void {
    const { member, peer } = this.#request.route
    const channel = peer.channels?.[name]
    if (channel?.hasSubscribers !== true) return
    this.#trace ??= { procedure: member.name, peer: peer.number, other: undefined, error }
    this.#trace.other = this.#served?.member.number
    this.#trace.error = error
    channel.publish(this.#trace)
  }

  #settle(): void {
    this.#settled = true
    for (const release of this.#release ?? []) release()
    this.#release = undefined
  }

  #onRelease(release: () => void): void {
    if (this.#settled) return release()
    this.#release ??= []
    this.#release.push(release)
  }

  #tooLate(): DeadlineExceededError {
    const { name } = this.#request.route.member
    return new DeadlineExceededError(`${name}: its time was up before a worker was ready`, {
      procedure: name,
    })
  }

  #cancelled(cause: unknown): CancelledError {
    const { name } = this.#request.route.member
    return new CancelledError(`${name}: the caller aborted it`, { procedure: name, cause })
  }
}

function timeoutOf({ route: { member: procedure }, options }: CallRequest): number {
  const { timeout } = options
  if (timeout === undefined) return procedure.timeout
  if (isTimeout(timeout)) return timeout
  throw new InvalidOptionError(
    `${procedure.name}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
    { procedure: procedure.name },
  )
}
