// A stream on the caller's side: an async iterable that begins when it is first asked for a value.

import { onAbort } from './abort.js'
import type { CallTrace } from './channels.js'
import type { Named, Stream } from './contract.js'
import { isTimeout, MAX_TIMEOUT } from './contract.js'
import type { Candidate } from './directory.js'
import {
  CancelledError,
  type ClusterwireError,
  DeadlineExceededError,
  InvalidOptionError,
  InvalidRequestError,
  InvalidResponseError,
} from './errors.js'
import { dataBytes } from './exchange.js'
import { nameProcedure } from './failure.js'
import { isPlain } from './fingerprint.js'
import type { Frame } from './frames.js'
import type { CallOptions, UploadCall } from './infer.js'
import { originOf, scopeOf } from './origin.js'
import type { CallerEvents, OutgoingExchange } from './outgoing.js'
import type { Route } from './routing.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { type Refuse, refuseRequest, validate } from './validate.js'
import { Inbox, Outbox, Unfit } from './values.js'

/** How one stream differs from what its contract says. */
export interface StreamOptions extends CallOptions {
  readonly upload?: AsyncIterable<unknown> | Iterable<unknown>
}

interface StreamParts {
  readonly route: Route<Named<Stream>>
  readonly input: unknown
  readonly options: StreamOptions
}

/** Makes the iterable of a stream's values; with an upload, it can be awaited for its only value instead. */
export function callStream(parts: StreamParts): AsyncIterableIterator<unknown> {
  const call = new StreamCall(parts)
  return parts.route.member.upload === undefined ? call : Object.assign(call, thenable(call))
}

class StreamCall implements AsyncIterableIterator<unknown, undefined>, CallerEvents {
  readonly #parts: StreamParts
  readonly #inbox: Inbox<unknown>
  #exchange: OutgoingExchange | undefined
  #served: Candidate | undefined
  /** Whether it is another version of the contract that validates its values. */
  #foreign = false
  #outbox: Outbox | undefined
  #begun: Promise<void> | undefined
  #forgetSignal: () => void = () => {}
  /** Made when somebody watches. */
  #trace: CallTrace | undefined

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#inbox = new Inbox({
      consumed: (bytes) => this.#exchange?.consumed(bytes),
      left: () => this.#cancel(new CancelledError(`${parts.route.member.name}: the reader left`)),
    })
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    this.#begun ??= this.#begin()
    await this.#begun
    const result = await this.#inbox.next()
    return result.done || !this.#foreign ? result : this.#accept(result.value)
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#begun ??= Promise.resolve() // Left before it began: it never will.
    return this.#inbox.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  data(frame: Frame): void {
    this.#exchange?.uncount()
    this.#inbox.push(decodeValue(frame.bytes, frame.body, frame.end), dataBytes(frame))
  }

  drain(): void {
    this.#outbox?.wake()
  }

  reply(): void {
    this.#settled()
    this.#tell('stream.end')
    this.#inbox.end()
  }

  error(thrown: ClusterwireError): void {
    const { route } = this.#parts
    // The input passed here: it is the handler's version of the schema that refuses it.
    const error =
      thrown instanceof InvalidRequestError && this.#served && route.differs(this.#served)
        ? route.incompatible(this.#served, 'input', thrown.issues)
        : thrown
    this.#settled()
    this.#tell('stream.error', error)
    this.#inbox.fail(error)
  }

  async #accept(value: unknown): Promise<IteratorResult<unknown, undefined>> {
    const { route } = this.#parts
    const refuse: Refuse = (issues) =>
      route.incompatible(this.#served as Candidate, 'output', issues)
    try {
      return { value: await validate(route.member.output, value, refuse), done: false }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  async #begin(): Promise<void> {
    const { route, input, options } = this.#parts
    const { member: stream, peer } = route
    const { signal, upload } = options
    const { name } = stream
    if (stream.upload !== undefined && upload === undefined)
      throw new InvalidOptionError(`${name}: pass what is to be uploaded as the option "upload"`)
    const timeout = timeoutOf(this.#parts)
    await validate(stream.input, input, route.refuseInput)
    const cancelled = (cause: unknown) =>
      new CancelledError(`${name}: the caller aborted it`, { procedure: name, cause })
    if (this.#inbox.ended) return // Its reader has left meanwhile.
    const scope = scopeOf(peer)
    for (const ended of [signal, scope?.over ? scope.signal : undefined])
      if (ended?.aborted) return this.#inbox.fail(cancelled(ended.reason))
    const left = (scope?.deadline ?? Number.POSITIVE_INFINITY) - peer.now()
    if (left <= 0)
      throw new DeadlineExceededError(
        `${name}: the time of the request that opens this stream is up`,
        { procedure: name },
      )
    this.#served = route.choose()
    this.#foreign = route.differs(this.#served) && isPlain(stream.output)
    this.#exchange = peer.open({
      member: this.#served.member,
      ref: this.#served.ref,
      procedure: name,
      encode: encodeValue,
      input,
      timeout: left === Number.POSITIVE_INFINITY ? timeout : Math.min(timeout || left, left),
      upload: upload !== undefined,
      origin: originOf(name, options, scope),
      events: this,
    })
    this.#tell('stream.start')
    const forgetSignal = signal && onAbort(signal, () => this.#cancel(cancelled(signal.reason)))
    const forgetScope = scope?.onCancel((reason) => this.#cancel(cancelled(reason)))
    this.#forgetSignal = () => {
      forgetSignal?.()
      forgetScope?.()
    }
    if (upload !== undefined) this.#upload(this.#exchange, upload)
  }

  /** Sends what is to be uploaded. If that breaks, the stream does: the handler must not take what it got for the whole. */
  #upload(exchange: OutgoingExchange, source: AsyncIterable<unknown> | Iterable<unknown>): void {
    const { member: stream } = this.#parts.route
    this.#outbox = new Outbox(exchange)
    const check = (value: unknown) => {
      const valid = validate(stream.upload, value, refuseRequest(stream.name, 'upload'))
      // As with a request: what is sent is what the caller gave.
      return valid instanceof Promise ? valid.then(() => value) : value
    }
    this.#outbox.send(source, check).then(
      (all) => all && exchange.end(),
      (thrown: unknown) => {
        const unfit = Unfit.in(thrown)
        this.#cancel(unfit === undefined ? thrown : nameProcedure(stream.name, unfit.error))
      },
    )
  }

  #cancel(error: unknown): void {
    this.#settled()
    this.#tell('stream.error', error)
    this.#exchange?.abandon()
    this.#inbox.fail(error)
  }

  #tell(name: 'stream.start' | 'stream.end' | 'stream.error', error?: unknown): void {
    const { member, peer } = this.#parts.route
    const channel = peer.channels?.[name]
    if (channel?.hasSubscribers !== true) return
    const other = this.#exchange?.member.number
    this.#trace ??= { procedure: member.name, peer: peer.number, other, error }
    this.#trace.error = error
    channel.publish(this.#trace)
  }

  #settled(): void {
    this.#forgetSignal()
    this.#outbox?.wake()
  }
}

/** What makes a stream with an upload awaitable. */
function thenable(call: StreamCall): Pick<UploadCall<unknown>, 'then'> {
  let value: Promise<unknown> | undefined
  return {
    // biome-ignore lint/suspicious/noThenProperty: awaiting it is its purpose.
    then(onValue, onError) {
      value ??= onlyValue(call)
      return value.then(onValue, onError)
    },
  }
}

async function onlyValue(call: StreamCall): Promise<unknown> {
  const first = await call.next()
  if (first.done) return undefined
  const second = await call.next()
  if (second.done) return first.value
  await call.return()
  const message = 'the stream gives more than one value; iterate over it instead of awaiting it'
  throw new InvalidResponseError(message, { issues: [{ message }] })
}

function timeoutOf({ route: { member: stream }, options }: StreamParts): number {
  const { timeout = stream.timeout } = options
  if (timeout === 0 || isTimeout(timeout)) return timeout
  throw new InvalidOptionError(
    `${stream.name}: "timeout" must be milliseconds, 0 (none) to ${MAX_TIMEOUT}, got ${String(timeout)}`,
  )
}
