// One request's way through the front: it waits, is given to a worker, perhaps to another, and is answered once.
//
//    collecting ──▶ seeking ──▶ running ──▶ answering ──▶ over
//    (small body)    ▲  │         │            │           ▲
//                    └──┼─────────┘ lost       └─ lost: cut┤
//                       └── refused, or the client is gone ┘
//
// A lost worker's request goes to another one only when that can do no harm: it certainly was not begun, or its method is idempotent,
// no byte of its response has gone out, and its body is still held.
//
// How its response reaches the client is left to whoever extends this: http1.ts, http2.ts, tunnel.ts.

import type { IncomingMessage } from 'node:http'
import { type ClusterwireError, WorkerLostError } from '@clusterwire/core'
import type {
  CallerEvents,
  Candidate,
  Frame,
  Member,
  OutgoingExchange,
  Peer,
} from '@clusterwire/core/peer'
import { ask, type Balancer } from '../balancer.js'
import type { OnError } from '../errors.js'
import type { RequestHeaders } from '../headers.js'
import type { Waiting, WaitingRoom } from '../waiting-room.js'
import { encodeRequest, isIdempotent, RequestFlag, type RequestToSend } from '../wire.js'
import type { ClientConnection, OnConnection } from './connection.js'
import { type Refusal, Refusals } from './refusal.js'
import type { Range } from './relay.js'
import { collect, type Source, Upload } from './upload.js'

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
  /** A request begins; and one is over. */
  entered(): void
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
  readonly connection: ClientConnection
  /** `RequestFlag`s, those of the connection included. */
  readonly flags: number
}

/** What comes behind a request's head: nothing; so little that it goes with the head; or more, which follows as the worker takes it. */
export type Content = 'none' | 'small' | 'stream'

/** A request. */
export abstract class Forward implements RequestToSend, CallerEvents, Waiting, OnConnection {
  readonly req: IncomingMessage
  readonly client: ClientConnection
  readonly connection: number
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly requestId: string
  flags: number
  body: Uint8Array | undefined
  protected readonly desk: FrontDesk
  /** Most requests have no body, or a small one. */
  protected upload: Upload | undefined
  /** Where it runs; undefined while it has no worker. */
  protected exchange: OutgoingExchange | undefined
  /** The worker has said that the app was given the request. */
  #begun = false
  /** Workers that were lost with this request. */
  #lost: ReadonlySet<Member> | undefined
  /** How many of them may have begun it. */
  #casualties = 0
  #over = false

  constructor(desk: FrontDesk, { req, connection, headers, requestId, flags }: Arrival) {
    this.desk = desk
    this.req = req
    this.client = connection
    this.connection = connection.number
    this.method = req.method as string
    this.url = req.url as string
    this.headers = headers
    this.requestId = requestId
    this.flags = flags
  }

  /** The procedure that answers it. */
  protected abstract get procedure(): string
  protected abstract get content(): Content
  /** Where its body is read from. */
  protected abstract get source(): Source
  /** Whether part of the response has gone out. */
  protected abstract get answering(): boolean
  /** A data frame of the response came, whose bytes are to be given back. */
  protected abstract passOn(frame: Frame, exchange: OutgoingExchange): void
  /** The response is complete with these bytes. `flags`: `ResponseFlag`s. What this throws, the link that brought them hears. */
  protected abstract complete(rest: Range, flags: number): void
  /** Ends the response in the middle, so that nobody can take it for complete. */
  protected abstract cut(): void
  /** Answers instead of a worker. */
  protected abstract answer(refusal: Refusal): void

  begin(): void {
    this.client.add(this)
    this.desk.peer.retries.deposit()
    const { content } = this
    if (content === 'small')
      return collect(this.source, (body) => {
        this.body = body
        this.#seek()
      })
    if (content === 'stream') this.upload = new Upload(this.source)
    this.#seek()
  }

  proceed(): boolean {
    const candidate = this.#choose()
    if (candidate === undefined) return this.#over
    if (this.desk.room.size > 0) this.desk.room.delete(this)
    this.#open(candidate)
    return true
  }

  expire(): void {
    this.refuse(Refusals.noWorker)
  }

  abandon(): void {
    if (this.#over) return
    const exchange = this.exchange
    this.desk.counters.abandoned++
    this.desk.room.delete(this)
    this.settle()
    exchange?.abandon()
  }

  started(): void {
    this.#begun = true
  }

  data(frame: Frame): void {
    const exchange = this.exchange as OutgoingExchange
    // An event stream may stay for hours: it must not make its worker look busy.
    exchange.uncount()
    this.passOn(frame, exchange)
    if (this.answering) this.upload?.release()
  }

  reply({ bytes, body, end }: Frame): void {
    this.settle()
    try {
      this.complete({ bytes, start: body + 1, end }, bytes[body] as number)
    } catch (error) {
      // The client must not wait for the rest. The link that brought the answer is to hear of it.
      this.desk.counters.cut++
      this.cut()
      throw error
    }
  }

  error(error: ClusterwireError): void {
    if (this.#over) return
    const exchange = this.exchange
    this.exchange = undefined
    this.upload?.detach()
    exchange?.abandon()
    if (this.answering) return this.#breakOff()
    if (!this.#mayRetry(error)) return this.refuse(this.#refusalFor(error))
    this.desk.counters.retried++
    if (exchange !== undefined) this.#lost = new Set(this.#lost).add(exchange.member)
    this.#seek()
  }

  drain(): void {
    this.upload?.drain()
  }

  /** Answers instead of a worker, and is over. */
  protected refuse(refusal: Refusal): void {
    if (this.#over) return
    this.desk.counters.refused++
    this.desk.room.delete(this)
    this.settle()
    this.answer(refusal)
  }

  /** It is over. */
  protected settle(): void {
    this.#over = true
    this.client.remove(this)
    this.upload?.discard()
    this.desk.settled()
  }

  #seek(): void {
    if (this.#over) return
    const { room } = this.desk
    if (room.size === 0 && this.proceed()) return
    if (!room.add(this)) this.refuse(Refusals.overloaded)
  }

  /** Finds a worker. When the balancer fails, the request is over. */
  #choose(): Candidate | undefined {
    const { peer, balancer, onError } = this.desk
    const ready = peer.directory.candidates(this.procedure)
    const candidates = this.#lost ? ready.filter(({ member }) => !this.#lost?.has(member)) : ready
    if (candidates.length === 0) return undefined
    try {
      return ask({ balancer, candidates, request: this.req })
    } catch (error) {
      this.refuse(Refusals.unrouted)
      onError(error, 'balance.choose()')
      return undefined
    }
  }

  #open({ member, ref }: Candidate): void {
    const introduce = (this.flags & RequestFlag.single) !== 0 || !this.client.isKnownTo(member)
    if (introduce) this.flags |= RequestFlag.introduces
    else this.flags &= ~RequestFlag.introduces
    this.#begun = false
    const { procedure } = this
    try {
      const exchange = this.desk.peer.open<RequestToSend>({
        member,
        ref,
        procedure,
        encode: encodeRequest,
        input: this,
        timeout: 0,
        upload: this.upload !== undefined,
        events: this,
      })
      if (exchange.over) return // Its loss was told from within, and has been dealt with.
      this.exchange = exchange
      if ((this.flags & RequestFlag.single) === 0) this.client.introducedTo(member)
      this.upload?.sendTo(exchange)
    } catch (error) {
      this.error(error as ClusterwireError)
    }
  }

  #mayRetry(error: ClusterwireError): boolean {
    if (!(error instanceof WorkerLostError)) return false
    if (this.upload !== undefined && !this.upload.repeatable) return false
    if (error.started === 'no') return true
    if (!isIdempotent(this.method)) return !this.#begun
    this.#casualties++
    return this.#casualties <= this.desk.retries && this.desk.peer.retries.withdraw()
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

  #breakOff(): void {
    this.desk.counters.cut++
    this.settle()
    this.cut()
  }
}

/** What a connection says of each request on it. */
export function flagsOfConnection({ encrypted, authorized }: ClientConnection): number {
  return (encrypted ? RequestFlag.encrypted : 0) | (authorized ? RequestFlag.authorized : 0)
}
