// The caller's end of an exchange.

import type { Member } from './directory.js'
import {
  type ClusterwireError,
  DeadlineExceededError,
  ProtocolError,
  WorkerLostError,
} from './errors.js'
import { type Encode, Exchange, type Exchanger, sendBare } from './exchange.js'
import { reviveFailure } from './failure.js'
import { CancelReason, Flag, type Frame, FrameType } from './frames.js'
import type { Meta } from './infer.js'
import type { Waiter } from './pending.js'
import type { ByteWriter } from './transports/bytes.js'
import { decodeValue, encodeValue } from './transports/codec.js'

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
  /**
   * The callee was blocked, and it was taken back: it is over, and was not begun and never will be. Told to those who listen for it; their
   * callee asks `begin()`.
   */
  recalled?(): void
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
  /** The same as a time on the peer's clock, where the caller knows it already. */
  readonly deadline?: number | undefined
  /** Whether data frames follow. */
  readonly upload: boolean
  /** What else travels with it. */
  readonly origin?: Origin | undefined
  readonly events: CallerEvents
}

/** Where a request comes from, as far as its handler should know. */
export interface Origin {
  /** How many requests led to this one. */
  readonly depth: number
  readonly meta: Meta
}

/** Writes a request's body. */
export function encodeRequest<T>(out: ByteWriter, { origin, encode, input }: Request<T>): void {
  if (origin !== undefined) {
    out.u8(origin.depth)
    const sizeAt = out.position
    out.u32(0)
    encodeValue(out, origin.meta)
    out.buffer.writeUInt32LE(out.position - sizeAt - 4, sizeAt)
  }
  encode(out, input)
}

/** Whoever began an exchange. */
export interface Opener {
  readonly peer: Exchanger
  /** The exchange is over. `false`: it was over already. */
  ended(exchange: OutgoingExchange): boolean
}

/** The caller's end. */
export class OutgoingExchange extends Exchange implements Waiter {
  readonly procedure: string
  readonly deadline: number
  /** Whether it can be taken back. */
  readonly recallable: boolean
  readonly #opener: Opener
  readonly #events: CallerEvents
  readonly #timeout: number
  /** Whether the member's `pending` includes it. */
  #counted = true

  constructor(opener: Opener, id: number, request: Omit<Request<unknown>, 'encode'>) {
    super(opener.peer, request.member, id, Flag.toCallee)
    this.#opener = opener
    this.procedure = request.procedure
    this.#events = request.events
    this.#timeout = request.timeout
    this.recallable = !request.upload && request.events.recalled !== undefined
    this.deadline =
      request.deadline ??
      (request.timeout === 0 ? Number.POSITIVE_INFINITY : opener.peer.now() + request.timeout)
  }

  get events(): CallerEvents {
    return this.#events
  }

  /**
   * It no longer counts among its member's pending exchanges: it will last, and says little about how busy the member is. (A response that
   * has begun, a stream that flows.)
   */
  uncount(): void {
    if (!this.#counted) return
    this.#counted = false
    this.member.pending--
  }

  /** The upload is complete. */
  end(): void {
    if (this.over) return
    sendBare(this.peer.linkTo(this.member), this.head(FrameType.end, Flag.toCallee | Flag.bulk))
  }

  protected drained(): void {
    this.events.drain?.()
  }

  /** Ends it here with this error, and lets the handler know that nobody waits any more. */
  cancel(error: ClusterwireError): void {
    if (this.over) return
    this.abandon()
    this.events.error(error)
  }

  /** Ends it here without a word to `events`, and lets the handler know that nobody waits any more. */
  abandon(): void {
    if (!this.#opener.ended(this)) return
    this.close()
    sendBare(this.peer.linkTo(this.member), this.head(FrameType.cancel, 0, CancelReason.cancelled))
  }

  /** It was taken back. */
  recall(): void {
    if (!this.#opener.ended(this)) return
    this.close()
    this.events.recalled?.()
  }

  /** Its time is up. The table has let go of it already. */
  expire(): void {
    this.uncount()
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
    if (!this.#opener.ended(this)) return
    this.close()
    try {
      if (frame.type === FrameType.reply) this.events.reply(frame)
      else {
        const failure = decodeValue(frame.bytes, frame.body, frame.end)
        this.events.error(reviveFailure(failure, this.procedure, String(this.member)))
      }
    } catch (cause) {
      // Its bytes are no value. The call must end all the same, and the link, which may have broken others too.
      const error = new ProtocolError(
        `${this.procedure}: ${this.member} sent an unreadable answer`,
        {
          procedure: this.procedure,
          cause,
        },
      )
      this.events.error(error)
      throw error
    }
  }

  /** The other side is gone, and no frame of its will come. */
  lost(started: 'no' | 'unknown', why: string): void {
    if (!this.#opener.ended(this)) return
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
