// One call of a procedure on the caller's side: routed, sent, tried once more where that does no harm, and settled exactly once.

import { type Applicant, admit, mayTryAgain, tooLate } from './admission.js'
import { type CallSite, captureSite, showSite } from './call-site.js'
import type { CallTrace, Channel } from './channels.js'
import { isTimeout, MAX_TIMEOUT, type Named, type Procedure } from './contract.js'
import type { Candidate, Member } from './directory.js'
import {
  type CancelledError,
  type ClusterwireError,
  DeadlineExceededError,
  InvalidOptionError,
  InvalidRequestError,
  NoWorkerError,
  OverloadedError,
  UnimplementedError,
} from './errors.js'
import type { Frame } from './frames.js'
import type { IncomingExchange } from './incoming.js'
import type { CallOptions } from './infer.js'
import { givenUp, onGivenUp, originOf, scopeOf } from './origin.js'
import type { CallerEvents, OutgoingExchange } from './outgoing.js'
import type { Route } from './routing.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { type Refuse, validate } from './validate.js'

/** What a call is made of. */
export interface CallRequest {
  readonly route: Route
  readonly input: unknown
  readonly options: CallOptions
  /** Whether the input has passed its schema already. Default `false` */
  readonly isValid?: boolean
}

/** Calls a procedure. Everything that goes wrong is a rejection. */
export function call(request: CallRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const running = new Call(request, resolve, reject)
    const { route, input, isValid } = request
    running.assertWanted()
    if (isValid === true) return running.start()
    const checked = validate(route.member.input, input, route.refuseInput)
    // What is sent is what the caller gave: the handler's side applies the schema's transforms, and only it.
    if (checked instanceof Promise) running.startWhen(checked).catch(reject)
    else running.start()
  })
}

/** A call, through at most two attempts. */
class Call implements CallerEvents, Applicant {
  readonly route: Route
  /** When the caller's time is up, over all attempts. */
  readonly deadline: number
  readonly #request: CallRequest
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: unknown) => void
  /** The request that is being handled where this call is made; undefined when none is, or when it is over. */
  readonly #scope: IncomingExchange | undefined
  readonly #begunAt: number
  #exchange: OutgoingExchange | undefined
  #served: Candidate | undefined
  /** What the first attempt failed with, when there is a second one. */
  #first: ClusterwireError | undefined
  #settled = false
  /** Where the call was made, when that is to be told. */
  readonly #site: CallSite | undefined
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
    this.route = request.route
    const { peer } = request.route
    this.#scope = scopeOf(peer)
    if (peer.callSites) this.#site = captureSite(call)
    this.#begunAt = peer.now()
    const own = this.#begunAt + timeoutOf(request.route.member, request.options)
    this.deadline = Math.min(own, this.#scope?.deadline ?? own)
  }

  /** Whether it waits for another worker: not when one has said that it has too much to do. */
  get patient(): boolean {
    return !(this.#first instanceof OverloadedError)
  }

  start(): void {
    this.#begin(this.#begunAt)
    if (!this.#settled) this.#heed()
  }

  /** The same when an asynchronous schema accepts the input, which may take no longer than the call. */
  async startWhen(accepted: Promise<unknown>): Promise<void> {
    const { member, peer } = this.route
    this.#heed()
    const late = () => this.#giveUp(tooLate(member.name))
    this.#onRelease(peer.clock.after(this.deadline - this.#begunAt, late))
    try {
      await accepted
    } catch (error) {
      return this.fail(error as ClusterwireError)
    }
    if (!this.#settled) this.#begin(peer.now())
  }

  attempt(candidate: Candidate, now: number): void {
    const { member: procedure, peer } = this.route
    const { input, options } = this.#request
    if (this.deadline <= now) throw tooLate(procedure.name)
    this.#served = candidate
    this.#exchange = peer.open({
      member: candidate.member,
      ref: candidate.ref,
      procedure: procedure.name,
      encode: encodeValue,
      input,
      timeout: this.deadline - now,
      deadline: this.deadline,
      upload: false,
      origin: originOf(procedure.name, options, this.#scope),
      events: this,
    })
  }

  reply(frame: Frame): void {
    const value = decodeValue(frame.bytes, frame.body, frame.end)
    const { route } = this
    const { member: procedure } = route
    const served = this.#served
    // The handler has validated its answer, but by another version of the contract.
    if (served === undefined || !route.differsInOutput(served)) return this.#succeed(value)
    const refuse: Refuse = (issues) => route.incompatible(served, 'output', issues)
    try {
      const valid = validate(procedure.output, value, refuse)
      if (valid instanceof Promise) this.#succeedWhen(valid)
      else this.#succeed(valid)
    } catch (error) {
      this.fail(error as ClusterwireError)
    }
  }

  error(error: ClusterwireError): void {
    if (this.#first === undefined && mayTryAgain(this, error)) {
      this.#first = error
      return this.#enter(this.route.peer.now(), this.#exchange?.member)
    }
    // The input passed here: it is the handler's version of the schema that refuses it.
    const { route } = this
    if (error instanceof InvalidRequestError && this.#served && route.differs(this.#served))
      return this.fail(route.incompatible(this.#served, 'input', error.issues))
    this.fail(error)
  }

  fail(error: ClusterwireError): void {
    if (this.#settled) return
    this.#settle()
    // Nobody else was there: what became of the first attempt says more than that.
    const nobody = error instanceof NoWorkerError || error instanceof UnimplementedError
    const told = nobody ? (this.#first ?? error) : error
    this.route.tally.failed(told.code)
    this.#tell(this.route.peer.channels?.['call.error'], told)
    showSite(told, this.#site)
    this.#reject(told)
  }

  /** @throws CancelledError or DeadlineExceededError when nobody wants the answer any more */
  assertWanted(): void {
    const { name: procedure } = this.route.member
    const up = givenUp(procedure, this.#request.options.signal, this.#scope)
    if (up !== undefined) throw up
    if (this.deadline <= this.#begunAt)
      throw new DeadlineExceededError(
        `${procedure}: the time of the request that makes this call is up`,
        { procedure },
      )
  }

  #begin(now: number): void {
    this.route.peer.retries.deposit()
    this.#tell(this.route.peer.channels?.['call.start'])
    this.#enter(now)
  }

  /** Sends it, or lets it wait for a worker. `not`: one that has been tried. */
  #enter(now: number, not?: Member): void {
    try {
      const leave = admit(this, now, not)
      if (leave !== undefined) this.#onRelease(leave)
    } catch (error) {
      this.fail(error as ClusterwireError)
    }
  }

  /** Ends it when the caller, or whoever the caller works for, no longer wants it. */
  #heed(): void {
    const { signal } = this.#request.options
    if (signal === undefined && this.#scope === undefined) return
    const { name } = this.route.member
    this.#onRelease(onGivenUp(name, { signal, scope: this.#scope }, (up) => this.#giveUp(up)))
  }

  #giveUp(error: CancelledError | DeadlineExceededError): void {
    if (this.#settled) return
    this.#exchange?.abandon()
    this.fail(error)
  }

  #succeed(value: unknown): void {
    if (this.#settled) return
    this.#settle()
    this.route.tally.succeeded(this.route.peer.moment.time - this.#begunAt)
    this.#tell(this.route.peer.channels?.['call.end'])
    this.#resolve(value)
  }

  /** An asynchronous schema may take no longer than the call. */
  #succeedWhen(valid: Promise<unknown>): void {
    const { member, peer } = this.route
    const late = () => this.fail(tooLate(member.name))
    this.#onRelease(peer.clock.after(Math.max(0, this.deadline - peer.now()), late))
    valid.then(
      (value) => this.#succeed(value),
      (error: ClusterwireError) => this.fail(error),
    )
  }

  #tell(channel: Channel | undefined, error?: unknown): void {
    if (channel?.hasSubscribers !== true) return
    const { member, peer } = this.route
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
}

/** Milliseconds that a call may take. @throws InvalidOptionError */
export function timeoutOf(
  procedure: Pick<Named<Procedure>, 'name' | 'timeout'>,
  { timeout }: CallOptions,
): number {
  if (timeout === undefined) return procedure.timeout
  if (isTimeout(timeout)) return timeout
  throw new InvalidOptionError(
    `${procedure.name}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
    { procedure: procedure.name },
  )
}
