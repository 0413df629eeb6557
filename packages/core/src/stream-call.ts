// A stream on the caller's side: an async iterable that begins when it is first asked for a value.

import { type Applicant, admit, mayTryAgain, tooLate } from './admission.js'
import { type CallSite, captureSite, showSite } from './call-site.js'
import type { CallTrace, Channel } from './channels.js'
import type { Named, Stream } from './contract.js'
import { isTimeout, MAX_TIMEOUT } from './contract.js'
import type { Candidate, Member } from './directory.js'
import {
  CancelledError,
  ClusterwireError,
  DeadlineExceededError,
  InvalidOptionError,
  InvalidRequestError,
  NoWorkerError,
  OverloadedError,
  UnimplementedError,
} from './errors.js'
import { dataBytes } from './exchange.js'
import { nameProcedure } from './failure.js'
import type { Frame } from './frames.js'
import type { IncomingExchange } from './incoming.js'
import type { CallOptions } from './infer.js'
import { givenUp, onGivenUp, originOf, scopeOf } from './origin.js'
import type { CallerEvents, OutgoingExchange } from './outgoing.js'
import type { Route } from './routing.js'
import { encodeValue } from './transports/codec.js'
import { type Refuse, refuseRequest, validate } from './validate.js'
import { closeSource, Inbox, Outbox, readData, Unfit } from './values.js'

/** How one stream differs from what its contract says. */
export interface StreamOptions extends CallOptions {
  readonly upload?: AsyncIterable<unknown> | Iterable<unknown>
}

/** What a stream is made of. */
export interface StreamRequest {
  readonly route: Route<Named<Stream>>
  readonly input: unknown
  readonly options: StreamOptions
}

/** Makes the iterable of a stream's values. */
export function callStream(request: StreamRequest): AsyncIterableIterator<unknown, undefined> {
  return new StreamCall(request)
}

class StreamCall implements AsyncIterableIterator<unknown, undefined>, CallerEvents, Applicant {
  readonly route: Route<Named<Stream>>
  readonly #request: StreamRequest
  readonly #inbox: Inbox<unknown>
  readonly #site: CallSite | undefined
  #scope: IncomingExchange | undefined
  #deadline = Number.POSITIVE_INFINITY
  #begun = false
  #begunAt = 0
  #settled = false
  #exchange: OutgoingExchange | undefined
  #served: Candidate | undefined
  /** Whether another version of the contract validates its values: true until it is known who does. */
  #foreign = true
  #outbox: Outbox | undefined
  /** What the first attempt failed with, when there is a second one. */
  #first: ClusterwireError | undefined
  /** Takes back what waits for an abort, a cancellation, a time or a worker. */
  #release: (() => void)[] = []
  /** Made when somebody watches. */
  #trace: CallTrace | undefined

  constructor(request: StreamRequest) {
    this.#request = request
    this.route = request.route
    const { name } = this.route.member
    if (this.route.peer.callSites) this.#site = captureSite(callStream)
    this.#inbox = new Inbox({
      consumed: (bytes) => this.#exchange?.consumed(bytes),
      left: () => this.fail(new CancelledError(`${name}: the reader left`, { procedure: name })),
    })
  }

  get deadline(): number {
    return this.#deadline
  }

  /** Whether it waits for another worker: not when one has said that it has too much to do. */
  get patient(): boolean {
    return !(this.#first instanceof OverloadedError)
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (!this.#begun) this.#begin()
    const next = this.#inbox.next()
    return this.#foreign ? next.then((result) => this.#accept(result)) : next
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#begun = true // Left before it began: it never will.
    return this.#inbox.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  attempt(candidate: Candidate, now: number): void {
    const { member: stream, peer } = this.route
    const { input, options } = this.#request
    if (this.#deadline <= now) throw tooLate(stream.name)
    const unlimited = this.#deadline === Number.POSITIVE_INFINITY
    this.#served = candidate
    this.#foreign = this.route.differsInOutput(candidate)
    this.#exchange = peer.open({
      member: candidate.member,
      ref: candidate.ref,
      procedure: stream.name,
      encode: encodeValue,
      input,
      timeout: unlimited ? 0 : this.#deadline - now,
      deadline: this.#deadline,
      upload: options.upload !== undefined,
      origin: originOf(stream.name, options, this.#scope),
      events: this,
    })
    if (options.upload !== undefined) this.#upload(this.#exchange, options.upload)
  }

  data(frame: Frame): void {
    this.#exchange?.uncount()
    this.#inbox.push(readData(frame), dataBytes(frame))
  }

  drain(): void {
    this.#outbox?.wake()
  }

  reply(): void {
    this.#settle()
    this.route.tally.succeeded(this.route.peer.now() - this.#begunAt)
    this.#tell(this.route.peer.channels?.['stream.end'])
    this.#inbox.end()
  }

  error(error: ClusterwireError): void {
    const { route } = this
    // What is uploaded is gone when it has been sent once.
    if (this.#first === undefined && this.#outbox === undefined && mayTryAgain(this, error)) {
      this.#first = error
      return this.#enter(this.#exchange?.member)
    }
    // The input passed here: it is the handler's version of the schema that refuses it.
    if (error instanceof InvalidRequestError && this.#served && route.differs(this.#served))
      return this.fail(route.incompatible(this.#served, 'input', error.issues))
    this.fail(error)
  }

  /** Ends it with this error, behind what has come before; and lets the handler know that nobody waits any more. */
  fail(error: unknown): void {
    if (this.#settled) return
    // Nobody else was there: what became of the first attempt says more than that.
    const nobody = error instanceof NoWorkerError || error instanceof UnimplementedError
    const told = nobody ? (this.#first ?? error) : error
    this.#exchange?.abandon()
    if (this.#outbox === undefined) closeSource(this.#request.options.upload)
    this.#settle()
    this.route.tally.failed(told instanceof ClusterwireError ? told.code : 'CANCELLED')
    this.#tell(this.route.peer.channels?.['stream.error'], told)
    showSite(told, this.#site)
    this.#inbox.fail(told)
  }

  #begin(): void {
    this.#begun = true
    const { member: stream, peer } = this.route
    const { input, options } = this.#request
    const { signal, upload } = options
    try {
      if (stream.upload !== undefined && upload === undefined)
        throw new InvalidOptionError(
          `${stream.name}: pass what is to be uploaded as the option "upload"`,
          { procedure: stream.name },
        )
      this.#scope = scopeOf(peer)
      const now = peer.now()
      this.#begunAt = now
      const inherited = this.#scope?.deadline ?? Number.POSITIVE_INFINITY
      this.#deadline = Math.min(now + timeoutOf(this.#request), inherited)
      const up = givenUp(stream.name, signal, this.#scope)
      if (up !== undefined) throw up
      if (this.#deadline <= now) throw this.#noTimeLeft()
      const valid = validate(stream.input, input, this.route.refuseInput)
      this.#release.push(
        onGivenUp(stream.name, { signal, scope: this.#scope }, (error) => this.fail(error)),
      )
      if (valid instanceof Promise) this.#beginWhen(valid)
      else this.#open()
    } catch (error) {
      this.fail(error)
    }
  }

  /** An asynchronous schema may take no longer than the stream. */
  #beginWhen(accepted: Promise<unknown>): void {
    const { member, peer } = this.route
    if (this.#deadline < Number.POSITIVE_INFINITY)
      this.#release.push(
        peer.clock.after(this.#deadline - peer.now(), () => this.fail(tooLate(member.name))),
      )
    accepted.then(
      () => this.#open(),
      (error: unknown) => this.fail(error),
    )
  }

  #open(): void {
    if (this.#settled) return // Its reader has left, or its time was up.
    this.route.peer.retries.deposit()
    this.#tell(this.route.peer.channels?.['stream.start'])
    this.#enter()
  }

  /** Sends it, or lets it wait for a worker. `not`: one that has been tried. */
  #enter(not?: Member): void {
    try {
      const leave = admit(this, this.route.peer.now(), not)
      if (leave !== undefined) this.#release.push(leave)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Sends what is to be uploaded. If that breaks, the stream does: the handler must not take what it got for the whole. */
  #upload(exchange: OutgoingExchange, source: AsyncIterable<unknown> | Iterable<unknown>): void {
    const { member: stream } = this.route
    this.#outbox = new Outbox(exchange, stream.upload)
    const refuse = refuseRequest(stream.name, 'upload')
    const check = (value: unknown) => {
      const valid = validate(stream.upload, value, refuse)
      // As with a request: what is sent is what the caller gave.
      return valid instanceof Promise ? valid.then(() => value) : value
    }
    const outbox = this.#outbox
    // It may be begun from somewhere else than where the stream was asked for.
    this.route.peer.scopes.run(this.#scope, () => {
      outbox.send(source, check).then(
        (all) => all && exchange.end(),
        (thrown: unknown) => {
          const unfit = Unfit.in(thrown)
          this.fail(unfit === undefined ? thrown : nameProcedure(stream.name, unfit.error))
        },
      )
    })
  }

  /** Another version of the contract may have let a value pass that this one does not. */
  async #accept(
    result: IteratorResult<unknown, undefined>,
  ): Promise<IteratorResult<unknown, undefined>> {
    if (result.done === true || !this.#foreign) return result
    const { route } = this
    const refuse: Refuse = (issues) =>
      route.incompatible(this.#served as Candidate, 'output', issues)
    try {
      const valid = validate(route.member.output, result.value, refuse)
      return { value: valid instanceof Promise ? await this.#inTime(valid) : valid, done: false }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  /** An asynchronous schema may take no longer than the stream. */
  async #inTime(valid: Promise<unknown>): Promise<unknown> {
    const { member, peer } = this.route
    if (this.#deadline === Number.POSITIVE_INFINITY) return valid
    let cancel = () => {}
    const late = new Promise((_resolve, reject) => {
      const ms = Math.max(0, this.#deadline - peer.now())
      cancel = peer.clock.after(ms, () => reject(tooLate(member.name)))
    })
    return Promise.race([valid, late]).finally(() => cancel())
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
    for (const release of this.#release.splice(0)) release()
    this.#outbox?.wake()
  }

  #noTimeLeft(): DeadlineExceededError {
    const { name: procedure } = this.route.member
    return new DeadlineExceededError(
      `${procedure}: the time of the request that opens this stream is up`,
      { procedure },
    )
  }
}

/** Milliseconds; `Infinity` for none. */
function timeoutOf({ route: { member: stream }, options }: StreamRequest): number {
  const { timeout = stream.timeout } = options
  if (timeout === 0) return Number.POSITIVE_INFINITY
  if (isTimeout(timeout)) return timeout
  throw new InvalidOptionError(
    `${stream.name}: "timeout" must be milliseconds, 0 (none) to ${MAX_TIMEOUT}, got ${String(timeout)}`,
    { procedure: stream.name },
  )
}
