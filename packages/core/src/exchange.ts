// The two ends of one exchange: a request on its way out, and a request that came in. Both speak bytes; what they mean is for others.

import type { Member } from './directory.js'
import {
  CancelledError,
  type ClusterwireError,
  DeadlineExceededError,
  WorkerLostError,
} from './errors.js'
import { reviveFailure } from './failure.js'
import {
  CancelReason,
  type Failure,
  Flag,
  type Frame,
  type FrameHead,
  FrameType,
} from './frames.js'
import type { Waiter } from './pending.js'
import { ReceiveWindow, SendWindow } from './streams.js'
import type { Link } from './transport.js'
import type { ByteWriter } from './transports/bytes.js'
import { decodeValue, encodeValue } from './transports/codec.js'

/** Writes a value's bytes behind what `out` holds. What it throws takes the whole frame back. */
export type Encode<T> = (out: ByteWriter, value: T) => void

/** What the two ends need of the peer that they belong to. */
export interface Exchanger {
  readonly number: number
  now(): number
  linkTo(member: Member): Link
  /** An exchange that this peer began is over. `false`: it was over already. */
  ended(exchange: OutgoingExchange): boolean
  /** An exchange that this peer served is over. */
  answered(): void
}

/** What a caller hears: `started` and `data` any number of times, then exactly one of `reply` and `error`. */
export interface CallerEvents {
  /** The handler has been entered. */
  started?(): void
  /** A value or bytes came in. The frame is good until this returns; its bytes are to be given back by `consumed`. */
  data?(frame: Frame): void
  /** It succeeded. The frame is good until this returns. */
  reply(frame: Frame): void
  /** It failed, here or there. */
  error(error: ClusterwireError): void
  /** `write` may be called again. */
  drain?(): void
}

/** What a handler hears: `data` any number of times, then `end`; and `cancelled` at any time, at most once, as the last. */
export interface CalleeEvents {
  data?(frame: Frame): void
  /** The upload is complete. */
  end?(): void
  /** The answer is no longer wanted: what is still written is dropped. */
  cancelled?(error: ClusterwireError): void
  drain?(): void
}

/** What a caller asks for. */
export interface Request<T> {
  readonly member: Member
  /** The member's index of the procedure. */
  readonly ref: number
  /** The procedure's full name. */
  readonly procedure: string
  readonly encode: Encode<T>
  readonly input: T
  /** Milliseconds it may take; 0 for no limit. */
  readonly timeout: number
  /** Whether data frames follow. */
  readonly upload: boolean
  readonly events: CallerEvents
}

/** Appends one frame whose body `encode` writes. */
export function send<T>(link: Link, head: FrameHead, encode: Encode<T>, value: T): void {
  const out = link.begin(head)
  try {
    encode(out, value)
  } catch (error) {
    link.abandon()
    throw error
  }
  link.commit()
}

/** Appends one frame that has no body. */
export function sendBare(link: Link, head: FrameHead): void {
  link.begin(head)
  link.commit()
}

/** What both ends have in common: data out under credit, and credit back for data in. */
abstract class Exchange {
  readonly member: Member
  readonly id: number
  protected readonly peer: Exchanger
  /** Bits that every data and credit frame of this end carries. */
  readonly #direction: number
  #over = false
  // Most exchanges carry no data frames and never need these.
  #outgoing: SendWindow | undefined
  #incoming: ReceiveWindow | undefined

  protected constructor(peer: Exchanger, member: Member, id: number, direction: number) {
    this.peer = peer
    this.member = member
    this.id = id
    this.#direction = direction
  }

  /** Whether it has ended: nothing that is still written goes out. */
  get over(): boolean {
    return this.#over
  }

  /** Whether `write` may be called now. */
  get writable(): boolean {
    return !this.#over && (this.#outgoing?.open ?? true)
  }

  /**
   * Sends one data frame. To be called while `writable`; bytes are to be cut into pieces of `PIECE_BYTES`.
   * Returns whether more may follow at once; else `drain` tells when.
   */
  write<T>(encode: Encode<T>, value: T): boolean {
    if (this.#over) return false
    this.#outgoing ??= new SendWindow()
    const link = this.peer.linkTo(this.member)
    const out = link.begin(this.head(FrameType.data, this.#direction | Flag.bulk))
    const before = out.position
    try {
      encode(out, value)
    } catch (error) {
      link.abandon()
      throw error
    }
    // An empty value costs too, or a flood of them would be free.
    this.#outgoing.spend(out.position - before + 1)
    link.commit()
    return this.#outgoing.open
  }

  /** Gives back the room that a data frame took, when its user is done with it. `bytes`: what `dataBytes` said of the frame. */
  consumed(bytes: number): void {
    const credit = this.#incoming?.consume(bytes) ?? 0
    if (credit > 0 && !this.#over)
      sendBare(this.peer.linkTo(this.member), this.head(FrameType.credit, this.#direction, credit))
  }

  /** Whether the sender had credit for the data frame that came in. */
  admit(frame: Frame): boolean {
    this.#incoming ??= new ReceiveWindow()
    return this.#incoming.receive(dataBytes(frame))
  }

  /** The other side gave credit back. Whether the window opened by it. */
  credit(bytes: number): boolean {
    return this.#outgoing?.grant(bytes) ?? false
  }

  protected get hasWritten(): boolean {
    return this.#outgoing !== undefined
  }

  protected close(): void {
    this.#over = true
  }

  protected head(type: number, flags: number, arg = 0): FrameHead {
    const { id, member, peer } = this
    return { type, flags, ref: 0, to: member.number, from: peer.number, id, arg }
  }
}

/** The bytes of credit that a data frame costs. */
export function dataBytes(frame: Frame): number {
  return frame.end - frame.body + 1
}

/** The caller's end. */
export class OutgoingExchange extends Exchange implements Waiter {
  readonly procedure: string
  readonly deadline: number
  readonly #events: CallerEvents
  readonly #timeout: number

  constructor(peer: Exchanger, id: number, request: Omit<Request<unknown>, 'encode'>) {
    super(peer, request.member, id, Flag.toCallee)
    this.procedure = request.procedure
    this.#events = request.events
    this.#timeout = request.timeout
    this.deadline = request.timeout === 0 ? Number.POSITIVE_INFINITY : peer.now() + request.timeout
  }

  get events(): CallerEvents {
    return this.#events
  }

  /** The upload is complete. */
  end(): void {
    if (this.over) return
    sendBare(this.peer.linkTo(this.member), this.head(FrameType.end, Flag.toCallee | Flag.bulk))
  }

  /** Ends it here with this error, and lets the handler know that nobody waits any more. */
  cancel(error: ClusterwireError): void {
    if (this.over) return
    this.abandon()
    this.events.error(error)
  }

  /** Ends it here without a word to `events`, and lets the handler know that nobody waits any more. */
  abandon(): void {
    if (!this.peer.ended(this)) return
    this.close()
    sendBare(this.peer.linkTo(this.member), this.head(FrameType.cancel, 0, CancelReason.cancelled))
  }

  /** Its time is up. The table has let go of it already. */
  expire(): void {
    this.member.pending--
    this.close()
    sendBare(this.peer.linkTo(this.member), this.head(FrameType.cancel, 0, CancelReason.deadline))
    this.events.error(
      new DeadlineExceededError(
        `${this.procedure}: ${this.member} did not answer within ${this.#timeout} ms`,
        { procedure: this.procedure },
      ),
    )
  }

  /** The other side's last frame came. */
  settle(frame: Frame): void {
    if (!this.peer.ended(this)) return
    this.close()
    if (frame.type === FrameType.reply) this.events.reply(frame)
    else {
      const failure = decodeValue(frame.bytes, frame.body, frame.end)
      this.events.error(reviveFailure(failure, this.procedure, String(this.member)))
    }
  }

  /** The other side is gone, and no frame of its will come. */
  lost(started: 'no' | 'unknown', why: string): void {
    if (!this.peer.ended(this)) return
    this.close()
    const { member, procedure } = this
    this.events.error(
      new WorkerLostError(
        started === 'no'
          ? `${procedure}: ${member} was lost before the request was handed to it (${why}); it may safely be sent again`
          : `${procedure}: ${member} was lost before it answered (${why}); the request may have run`,
        { procedure, started },
      ),
    )
  }
}

/** What a callee keeps of each peer that calls it. */
export class Caller {
  readonly member: Member
  /** Its requests that have not been answered, by its ids. */
  readonly open: Map<number, IncomingExchange> = new Map()
  /** The highest id it has opened an exchange under: ids only grow, so one that does not is a duplicate. */
  lastId = 0

  constructor(member: Member) {
    this.member = member
  }
}

/** The callee's end. */
export class IncomingExchange extends Exchange {
  readonly procedure: string
  /** When the caller stops waiting, on this peer's clock; `Infinity` when it has no limit. */
  readonly deadline: number
  /** Whether data frames follow. */
  readonly hasUpload: boolean
  /** To be set while the request is being handed over; what comes in without one is dropped. */
  events: CalleeEvents | undefined
  readonly #caller: Caller
  #controller: AbortController | undefined
  #cancelled: ClusterwireError | undefined

  constructor(peer: Exchanger, caller: Caller, procedure: string, open: Frame) {
    super(peer, caller.member, open.id, 0)
    this.#caller = caller
    this.procedure = procedure
    this.deadline = open.arg === 0 ? Number.POSITIVE_INFINITY : peer.now() + open.arg
    this.hasUpload = (open.flags & Flag.upload) !== 0
    caller.open.set(open.id, this)
  }

  /** Aborts when the answer is no longer wanted. Made when first asked for: most handlers never look. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#cancelled) this.#controller.abort(this.#cancelled)
    }
    return this.#controller.signal
  }

  /** Tells the caller, before anything else is done, that the handler is being entered. */
  started(): void {
    if (this.over) return
    const link = this.peer.linkTo(this.member)
    sendBare(link, this.head(FrameType.started, 0))
    link.flush()
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
    this.#cancelled = error
    this.#controller?.abort(error)
    this.events?.cancelled?.(error)
  }

  #finish(): void {
    this.close()
    this.#caller.open.delete(this.id)
    this.peer.answered()
  }
}
