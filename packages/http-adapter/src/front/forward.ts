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
import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type {
  CallerEvents,
  Candidate,
  Frame,
  Member,
  OutgoingExchange,
  Peer,
} from '@clusterwire/core/peer'
import { dataBytes } from '@clusterwire/core/peer'
import { ask, type Balancer } from '../balancer.js'
import type { OnError } from '../errors.js'
import type { RequestHeaders } from '../headers.js'
import { awaitsContinue, keepsAlive, writeInterim } from '../node-internals.js'
import type { Waiting, WaitingRoom } from '../waiting-room.js'
import {
  encodeRequest,
  isIdempotent,
  Piece,
  REQUEST,
  RequestFlag,
  type RequestToSend,
  ResponseFlag,
} from '../wire.js'
import type { ClientConnection, OnConnection } from './connection.js'
import { type Refusal, Refusals, refuse } from './refusal.js'
import { cutResponse, RelayedStream, relayWhole } from './relay.js'
import { collect, hasBody, isSmall, Upload } from './upload.js'

/** What a request needs of its front. */
export interface FrontDesk {
  readonly peer: Peer
  readonly balancer: Balancer
  readonly room: WaitingRoom
  /** How often an idempotent request may be given to another worker after one has died of it, or beside it. */
  readonly retries: number
  /** Whether connections are to end with the response that is on them. */
  readonly closing: boolean
  readonly counters: Counters
  readonly onError: OnError
  /** A request is over. */
  settled(): void
}

/** What has happened so far. */
export interface Counters {
  /** Requests that came in. */
  requests: number
  /** Requests that were given to another worker because one was lost. */
  retried: number
  /** Requests that the front answered itself, with an error. */
  refused: number
  /** Requests whose client went away before the answer. */
  abandoned: number
  /** Responses that ended in the middle because their worker was lost. */
  cut: number
}

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
  readonly #desk: FrontDesk
  /** Most requests have no body, or a small one. */
  #upload: Upload | undefined
  #exchange: OutgoingExchange | undefined
  /** Most responses come in one piece. */
  #stream: RelayedStream | undefined
  /** The worker has said that the app was given the request. */
  #begun = false
  /** Workers that were lost with this request. */
  #lost: ReadonlySet<Member> | undefined
  /** How many of them may have begun it. */
  #casualties = 0
  #over = false

  constructor(desk: FrontDesk, { req, res, connection, headers, requestId }: Arrival) {
    this.#desk = desk
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
    this.client.add(this)
    this.#desk.peer.retries.deposit()
    if (!hasBody(this.req)) this.#seek()
    else if (isSmall(this.req))
      collect(this.req, (body) => {
        this.body = body
        this.#seek()
      })
    else {
      this.#upload = new Upload(this.req)
      this.#seek()
    }
  }

  proceed(): boolean {
    const candidate = this.#choose()
    if (candidate === undefined) return this.#over
    if (this.#desk.room.size > 0) this.#desk.room.delete(this)
    this.#open(candidate)
    return true
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
    this.#begun = true
  }

  data(frame: Frame): void {
    const { bytes, body, end } = frame
    const exchange = this.#exchange as OutgoingExchange
    // An event stream may stay for hours: it must not make its worker look busy.
    exchange.uncount()
    if (bytes[body] === Piece.interim) {
      writeInterim(this.res, bytes.toString('latin1', body + 1, end))
      exchange.consumed(dataBytes(frame))
    } else {
      this.#stream ??= new RelayedStream(this.res, this.#desk.closing)
      this.#stream.take(exchange, frame, body + 1)
    }
  }

  reply({ bytes, body, end }: Frame): void {
    const flags = bytes[body] as number
    const { closing } = this.#desk
    const last = closing || (flags & ResponseFlag.last) !== 0
    const rest = { bytes, start: body + 1, end }
    const stream = this.#stream
    this.#settle()
    try {
      if (stream === undefined) relayWhole(this.res, rest, { last, closing })
      else stream.end(rest, last)
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
    if (this.#stream !== undefined) return this.#cut()
    if (!this.#mayRetry(error)) return this.#refuse(this.#refusalFor(error))
    this.#desk.counters.retried++
    if (exchange !== undefined) this.#lost = new Set(this.#lost).add(exchange.member)
    this.#seek()
  }

  drain(): void {
    this.#upload?.drain()
  }

  #seek(): void {
    if (this.#over) return
    const { room } = this.#desk
    if (room.size === 0 && this.proceed()) return
    if (!room.add(this)) this.#refuse(Refusals.overloaded)
  }

  /** Finds a worker. When the balancer fails, the request is over. */
  #choose(): Candidate | undefined {
    const { peer, balancer, room, onError } = this.#desk
    const ready = peer.directory.candidates(REQUEST)
    const candidates = this.#lost ? ready.filter(({ member }) => !this.#lost?.has(member)) : ready
    if (candidates.length === 0) return undefined
    try {
      return ask({ balancer, candidates, request: this.req })
    } catch (error) {
      room.delete(this)
      this.#refuse(Refusals.unrouted)
      onError(error, 'balance.choose()')
      return undefined
    }
  }

  #open({ member, ref }: Candidate): void {
    const introduce = (this.flags & RequestFlag.single) !== 0 || !this.client.isKnownTo(member)
    if (introduce) this.flags |= RequestFlag.introduces
    else this.flags &= ~RequestFlag.introduces
    this.#begun = false
    try {
      const exchange = this.#desk.peer.open<RequestToSend>({
        member,
        ref,
        procedure: REQUEST,
        encode: encodeRequest,
        input: this,
        timeout: 0,
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

  #mayRetry(error: ClusterwireError): boolean {
    if (!(error instanceof WorkerLostError)) return false
    if (this.#upload !== undefined && !this.#upload.repeatable) return false
    if (error.started === 'no') return true
    if (!isIdempotent(this.method)) return !this.#begun
    this.#casualties++
    return this.#casualties <= this.#desk.retries && this.#desk.peer.retries.withdraw()
  }

  #refusalFor({ code }: ClusterwireError): Refusal {
    switch (code) {
      case 'WORKER_LOST':
        return this.#casualties > 1 ? Refusals.poison : Refusals.workerLost
      case 'OVERLOADED':
        return Refusals.overloaded
      case 'PEER_CLOSED':
        return Refusals.closed
      default:
        return Refusals.failed
    }
  }

  #refuse(refusal: Refusal): void {
    if (this.#over) return
    this.#desk.counters.refused++
    this.#settle()
    refuse(this, refusal)
  }

  #cut(): void {
    this.#desk.counters.cut++
    this.#settle()
    cutResponse(this.res)
  }

  #settle(): void {
    this.#over = true
    this.client.remove(this)
    this.#upload?.discard()
    this.#desk.settled()
  }
}

function flagsOf(req: IncomingMessage, res: ServerResponse, client: ClientConnection): number {
  let flags = keepsAlive(res) ? RequestFlag.keepAlive : RequestFlag.single
  if (req.httpVersionMinor === 0) flags |= RequestFlag.http10
  if (client.encrypted) flags |= RequestFlag.encrypted
  if (client.authorized) flags |= RequestFlag.authorized
  if (req.headers.expect === undefined) return flags
  if (awaitsContinue(res)) return flags | RequestFlag.awaitsContinue
  return /100-continue/i.test(req.headers.expect) ? flags : flags | RequestFlag.expects
}
