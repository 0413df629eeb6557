// The callee's end of an exchange.

import type { Member } from './directory.js'
import { CancelledError, type ClusterwireError, ProtocolError, WorkerLostError } from './errors.js'
import { type Encode, Exchange, type Exchanger, send, sendBare } from './exchange.js'
import { describeError } from './failure.js'
import { type Failure, Flag, type Frame, FrameType, PRIMARY } from './frames.js'
import { IdTable } from './id-table.js'
import type { Meta } from './infer.js'
import { decodeValue, encodeValue } from './transports/codec.js'

/** What a handler hears: `data` any number of times, then `end`; and `cancelled` at any time, at most once, as the last. */
export interface CalleeEvents {
  data?(frame: Frame): void
  /** The upload is complete. */
  end?(): void
  /** The answer is no longer wanted: what is still written is dropped. */
  cancelled?(error: ClusterwireError): void
  drain?(): void
}

/** What a callee keeps of each peer that calls it. */
export class Caller {
  readonly member: Member
  /** Its requests that have not been answered, by its ids. */
  readonly open: IdTable<IncomingExchange> = new IdTable()
  /** The highest id it has opened an exchange under: ids only grow, so one that does not is a duplicate. */
  lastId = 0

  constructor(member: Member) {
    this.member = member
  }
}

/** The callee's end. */
export class IncomingExchange extends Exchange {
  readonly procedure: string
  /** When it came in, on this peer's clock. */
  readonly arrivedAt: number
  /** When the caller stops waiting, on this peer's clock; `Infinity` when it has no limit. */
  readonly deadline: number
  /** Whether data frames follow. */
  readonly hasUpload: boolean
  /** How many requests led to this one; 0 for one that no handler made. */
  readonly depth: number
  /** What the caller sent along. An adapter may say instead what it knows of its own request. */
  meta: Meta
  /** Where in its frame the request itself begins. */
  readonly inputAt: number
  /** To be set while the request is being handed over; what comes in without one is dropped. */
  events: CalleeEvents | undefined
  /** Whether its handler has been entered, and has not come to its end. */
  running = false
  /** Whether it was cancelled while its handler was running. */
  abandoned = false
  readonly #caller: Caller
  #controller: AbortController | undefined
  #cancelled: ClusterwireError | undefined
  /** Told when it is cancelled; undefined until somebody asks for that. */
  #cancelListeners: Set<(error: ClusterwireError) => void> | undefined

  constructor(peer: Exchanger, caller: Caller, procedure: string, open: Frame) {
    super(peer, caller.member, open.id, 0)
    this.#caller = caller
    this.procedure = procedure
    this.arrivedAt = peer.moment.time
    this.deadline = open.arg === 0 ? Number.POSITIVE_INFINITY : this.arrivedAt + open.arg
    this.hasUpload = (open.flags & Flag.upload) !== 0
    if ((open.flags & Flag.meta) === 0) {
      this.depth = 0
      this.meta = NO_META
      this.inputAt = open.body
    } else {
      this.inputAt = open.body + 5 + open.bytes.readUInt32LE(open.body + 1)
      this.depth = open.bytes[open.body] as number
      this.meta = readMeta(decodeValue(open.bytes, open.body + 5, this.inputAt))
    }
    caller.open.add(this)
  }

  /** Aborts when the answer is no longer wanted. Made when first asked for: most handlers never look. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#cancelled) this.#controller.abort(this.#cancelled)
    }
    return this.#controller.signal
  }

  /**
   * Begins it, as far as the primary may take it back: to be called first, in the order in which requests come in. `false` when it
   * was taken back while this process was blocked: it is over then, its caller knows that it was not run, and nobody may run it. One with an
   * upload is never taken back.
   */
  begin(): boolean {
    const { turnstile } = this.peer
    if (turnstile === undefined || this.hasUpload || this.member.number !== PRIMARY) return true
    if (turnstile.enter(this.id)) return true
    const text = `${this.procedure}: it was taken back before it began`
    this.fail(describeError(new WorkerLostError(text, { started: 'no' })))
    return false
  }

  /**
   * Tells the caller that the handler is being entered, and enters it when that is out of this process: so that the caller knows even if
   * the process ends with the handler's first line.
   */
  started(enter: () => void): void {
    if (this.over) return
    const link = this.peer.linkTo(this.member)
    sendBare(link, this.head(FrameType.started, 0))
    link.flush(() => {
      if (!this.over) enter()
    })
  }

  /**
   * Answers, and ends it.
   *
   * @throws InvalidValueError or FrameTooLargeError when the answer can't be sent; it is then still open, and can fail
   */
  reply<T>(encode: Encode<T>, value: T): void {
    if (this.over) return
    // Behind its own data, if there was any.
    const flags = this.hasWritten ? Flag.bulk : 0
    send(this.peer.linkTo(this.member), this.head(FrameType.reply, flags), encode, value)
    this.#finish()
  }

  /** Fails, and ends it. */
  fail(failure: Failure): void {
    if (this.over) return
    const flags = this.hasWritten ? Flag.bulk : 0
    send(this.peer.linkTo(this.member), this.head(FrameType.error, flags), encodeValue, failure)
    this.#finish()
  }

  /** The caller no longer waits. */
  cancel(
    error: ClusterwireError = new CancelledError(`${this.procedure}: the caller cancelled`),
  ): void {
    if (this.over) return
    this.#finish()
    if (this.running) {
      this.abandoned = true
      this.peer.abandoned++
    }
    this.#cancelled = error
    this.#controller?.abort(error)
    this.events?.cancelled?.(error)
    for (const listener of this.#cancelListeners ?? []) listener(error)
  }

  /** Calls `listener` when it is cancelled; the function returned takes that back. */
  onCancel(listener: (error: ClusterwireError) => void): () => void {
    this.#cancelListeners ??= new Set()
    this.#cancelListeners.add(listener)
    return () => this.#cancelListeners?.delete(listener)
  }

  protected drained(): void {
    this.events?.drain?.()
  }

  #finish(): void {
    this.close()
    this.#caller.open.delete(this.id)
    this.peer.answered()
  }
}

const NO_META: Meta = Object.freeze({})

/** Another process may send anything. */
function readMeta(value: unknown): Meta {
  const entries = Object.entries((value ?? {}) as object)
  for (const [key, text] of entries)
    if (typeof text !== 'string' || key === '__proto__')
      throw new ProtocolError(`A request came with metadata that is none: ${key}`)
  return Object.freeze(Object.fromEntries(entries) as Record<string, string>)
}
