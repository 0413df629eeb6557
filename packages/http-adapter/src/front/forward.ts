// One request's way through the front: it waits, is given to a worker, perhaps to another, and is answered once.
//
//    collecting ──▶ seeking ──▶ running ──▶ answering ──▶ over
//    (small body)    ▲  │         │            │           ▲
//                    └──┼─────────┘ lost       └─ lost: cut┤
//                       └── refused, or the client is gone ┘
//
// A lost worker's request goes to another one only when that can do no harm: it certainly was not begun, or its method is idempotent,
// no byte of its response has gone out, and its body is still held.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ClusterwireError } from '@clusterwire/core'
import type { CallerEvents, Candidate, Frame, OutgoingExchange } from '@clusterwire/core/peer'
import { dataBytes } from '@clusterwire/core/peer'
import type { RequestHeaders } from '../headers.js'
import { awaitsContinue, writeInterim } from '../node-internals.js'
import type { Progress, Waiting } from '../waiting-room.js'
import {
  encodeRequest,
  Piece,
  REQUEST,
  RequestFlag,
  type RequestToSend,
  ResponseFlag,
} from '../wire.js'
import { Attempts } from './attempts.js'
import { chooseWorker } from './choice.js'
import type { ClientConnection, OnConnection } from './connection.js'
import { Countdown, type TimeLimits } from './deadline.js'
import type { Desk } from './desk.js'
import { flagsOf } from './flags.js'
import { type Amendment, beginsWithHead, isInterim, NOTHING_TO_SAY } from './head.js'
import { excessOf } from './limits.js'
import { misrendered, type Refusal, Refusals, refusalFor, refuse, refuseUpload } from './refusal.js'
import { cutResponse, RelayedStream, relayWhole } from './relay.js'
import { collect, hasBody, isSmall, Upload } from './upload.js'

/** Where a request comes from, and what the app is to see of it. */
export interface Arrival extends RequestHeaders {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly connection: ClientConnection
}

/** A request. */
export class Forward implements RequestToSend, CallerEvents, Waiting, OnConnection {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly client: ClientConnection
  readonly connection: number
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly requestId: string
  flags: number
  body: Uint8Array | undefined
  readonly #desk: Desk
  /** Most requests have no body, or a small one. */
  #upload: Upload | undefined
  #exchange: OutgoingExchange | undefined
  /** Most responses come in one piece. */
  #stream: RelayedStream | undefined
  readonly #attempts: Attempts
  /** `undefined` when it has all the time it wants. */
  #countdown: Countdown | undefined
  /** What the balancer has the client keep. */
  #cookie: string | undefined
  #over = false

  constructor(desk: Desk, { req, res, connection, headers, requestId }: Arrival) {
    this.#desk = desk
    this.#attempts = new Attempts(desk)
    this.req = req
    this.res = res
    this.client = connection
    this.connection = connection.number
    this.method = req.method as string
    this.url = req.url as string
    this.headers = headers
    this.requestId = requestId
    this.flags = flagsOf(req, res, connection)
  }

  begin(): void {
    const { limits, peer, timeLimits } = this.#desk
    this.client.add(this)
    peer.retries.deposit()
    const excess = limits && excessOf(this.req, limits)
    if (excess !== undefined)
      return this.#refuse(excess, hasBody(this.req) && !awaitsContinue(this.res))
    if (timeLimits !== undefined && !this.#limitTime(timeLimits)) return
    if (!hasBody(this.req)) this.#seek()
    else if (isSmall(this.req))
      collect(this.req, (body) => {
        this.body = body
        this.#seek()
      })
    else {
      this.#upload = new Upload(
        this.req,
        limits && { bytes: limits.maxBodyBytes, exceeded: () => this.#exceed() },
      )
      this.#seek()
    }
  }

  proceed(): Progress {
    const chosen = this.#choose()
    if (typeof chosen === 'string') return chosen
    if (this.#desk.room.size > 0) this.#desk.room.delete(this)
    this.#open(chosen)
    return 'left'
  }

  expire(): void {
    this.#refuse(Refusals.noWorker)
  }

  abandon(): void {
    if (this.#over) return
    const exchange = this.#exchange
    this.#desk.counters.abandoned++
    this.#desk.room.delete(this)
    this.#settle()
    exchange?.abandon()
  }

  started(): void {
    this.#attempts.started()
  }

  data(frame: Frame): void {
    const { bytes, body, end } = frame
    const exchange = this.#exchange as OutgoingExchange
    // An event stream may stay for hours: it must not make its worker look busy.
    exchange.uncount()
    if (bytes[body] === Piece.interim) {
      const text = bytes.toString('latin1', body + 1, end)
      if (!isInterim(text)) return this.error(misrendered())
      writeInterim(this.res, text)
      exchange.consumed(dataBytes(frame))
      return
    }
    if (this.#stream === undefined) {
      const first = bytes.toString('latin1', body + 1, end)
      if (!beginsWithHead(first)) return this.error(misrendered())
      this.#stream = new RelayedStream(this.res, first, this.#amendment)
      this.#desk.responded(this.#attempts.load, this.#attempts.elapsed, this.res.statusCode)
    }
    this.#stream.take(exchange, frame, body + 1)
  }

  reply({ bytes, body, end }: Frame): void {
    const flags = bytes[body] as number
    const { closing } = this.#desk
    const last = closing || (flags & ResponseFlag.last) !== 0
    const stream = this.#stream
    const whole = stream === undefined ? bytes.toString('latin1', body + 1, end) : ''
    // Nothing at all is what an app has said that has destroyed its socket.
    if (whole !== '' && !beginsWithHead(whole)) return this.error(misrendered())
    const amendment = this.#amendment
    const { load, elapsed } = this.#attempts
    this.#settle()
    try {
      if (stream === undefined) {
        relayWhole(this.res, whole, { amendment, last })
        this.#desk.responded(load, elapsed, this.res.statusCode)
      } else stream.end({ bytes, start: body + 1, end }, last)
    } catch (error) {
      // The client must not wait for the rest. The link that brought the answer is to hear of it.
      this.#desk.counters.cut++
      cutResponse(this.res)
      throw error
    }
  }

  error(error: ClusterwireError): void {
    if (this.#over) return
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#upload?.detach()
    exchange?.abandon()
    const attempts = this.#attempts
    attempts.fail(error, this.#stream !== undefined)
    if (this.#stream !== undefined) return this.#cut()
    const held = this.#upload?.repeatable ?? true
    if (!held || !attempts.mayRepeat(error, this.method))
      return this.#refuse(refusalFor(error, attempts.casualties))
    this.#desk.counters.retried++
    if (exchange !== undefined) attempts.lose(exchange.member)
    this.#seek()
  }

  drain(): void {
    this.#upload?.drain()
  }

  #seek(): void {
    if (this.#over) return
    const { room, peer } = this.#desk
    const progress = room.blocked ? 'blocked' : this.proceed()
    if (progress === 'left') return
    const nobody = peer.directory.candidates(REQUEST).length === 0
    if (nobody && peer.waiting.hopeless) this.#refuse(Refusals.noWorker)
    else if (!room.add(this, progress))
      this.#refuse(nobody && room.size === 0 ? Refusals.noWorker : Refusals.overloaded)
  }

  /** Finds a worker. When the balancer fails, the request is over. */
  #choose(): Candidate | Progress {
    const { room, onError } = this.#desk
    try {
      const choice = chooseWorker(this.#desk, this.req, this.#attempts.lost)
      if (typeof choice === 'string') return choice
      this.#cookie = choice.cookie
      return choice.candidate
    } catch (error) {
      room.delete(this)
      this.#refuse(Refusals.unrouted)
      onError(error, 'balance.choose()')
      return 'left'
    }
  }

  #open({ member, ref }: Candidate): void {
    const introduce = (this.flags & RequestFlag.single) !== 0 || !this.client.isKnownTo(member)
    if (introduce) this.flags |= RequestFlag.introduces
    else this.flags &= ~RequestFlag.introduces
    this.#attempts.enter(member)
    try {
      const exchange = this.#desk.peer.open<RequestToSend>({
        member,
        ref,
        procedure: REQUEST,
        encode: encodeRequest,
        input: this,
        timeout: this.#countdown?.left ?? 0,
        deadline: this.#countdown?.deadline,
        upload: this.#upload !== undefined,
        events: this,
      })
      if (exchange.over) return // Its loss was told from within, and has been dealt with.
      this.#exchange = exchange
      if ((this.flags & RequestFlag.single) === 0) this.client.introducedTo(member)
      this.#upload?.sendTo(exchange)
    } catch (error) {
      this.error(error as ClusterwireError)
    }
  }

  /** Starts the countdown; whether it has any time at all. */
  #limitTime(limits: TimeLimits): boolean {
    const { peer, onError } = this.#desk
    try {
      const ms = limits.of(this.req)
      if (ms === 0) this.#refuse(Refusals.timedOut)
      else if (ms < Number.POSITIVE_INFINITY)
        this.#countdown = new Countdown(peer.clock, ms, () => this.#timeUp())
    } catch (error) {
      this.#refuse(Refusals.unrouted)
      onError(error, 'timeout()')
    }
    return !this.#over
  }

  #timeUp(): void {
    if (this.#exchange !== undefined) return // That has the same deadline, and will tell of it.
    this.#desk.room.delete(this)
    this.#refuse(Refusals.timedOut)
  }

  /** The body has got too large. */
  #exceed(): void {
    const exchange = this.#exchange
    if (this.#over) return
    if (this.#stream !== undefined) this.#cut()
    else this.#refuse(Refusals.bodyTooLarge, true)
    exchange?.abandon()
  }

  /** @param uploading the client is in the middle of sending a body that nobody wants */
  #refuse(refusal: Refusal, uploading = false): void {
    if (this.#over) return
    this.#desk.refused(refusal)
    this.#settle()
    if (refusal === Refusals.bodyTooLarge) this.res.shouldKeepAlive = false
    if (uploading) refuseUpload(this, refusal, this.#desk.peer.clock)
    else refuse(this, refusal)
  }

  #cut(): void {
    this.#desk.counters.cut++
    this.#settle()
    cutResponse(this.res)
  }

  #settle(): void {
    this.#over = true
    this.#countdown?.stop()
    this.#attempts.leave()
    this.client.remove(this)
    this.#upload?.discard()
    this.#desk.settled()
  }

  get #amendment(): Amendment {
    const { closing } = this.#desk
    return closing || this.#cookie !== undefined
      ? { closing, cookie: this.#cookie }
      : NOTHING_TO_SAY
  }
}
