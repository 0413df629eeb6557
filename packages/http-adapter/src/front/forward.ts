// One request's way through the front: it waits, is given to a worker, perhaps to another, and is answered once.
//
//    collecting ──▶ seeking ──▶ running ──▶ answering ──▶ over
//    (small body)    ▲  │         │            │           ▲
//                    └──┼─────────┘ lost, or   └─ lost: cut┤
//                       │           recalled               │
//                       └── refused, or the client is gone ┘
//
// A lost worker's request goes to another one only when that can do no harm: it certainly was not begun, or its method is idempotent,
// no byte of its response has gone out, and its body is still held.
// How its response reaches the client is left to whoever extends this: http1.ts, http2.ts, tunnel.ts.

import type { IncomingMessage } from 'node:http'
import { type ClusterwireError, DeadlineExceededError } from '@clusterwire/core'
import type { CallerEvents, Candidate, Frame, OutgoingExchange } from '@clusterwire/core/peer'
import { askForCookie } from '../balancer/balancer.js'
import type { Progress, Waiting } from '../waiting-room.js'
import { encodeRequest, RequestFlag, type RequestToSend } from '../wire.js'
import { chooseWorker } from './choice.js'
import type { Arrival, ClientConnection, OnConnection } from './connection.js'
import { Countdown, type TimeLimits } from './deadline.js'
import type { Desk } from './desk.js'
import { excessOf } from './limits.js'
import { Stay } from './loads.js'
import { Losses } from './losses.js'
import { queueUp } from './queue-up.js'
import { type Refusal, Refusals } from './refusal.js'
import type { Range } from './relay.js'
import { type BodyLimit, type Content, collect, type Source, Upload } from './upload.js'

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
  protected readonly desk: Desk
  /** Most requests have no body, or a small one. */
  protected upload: Upload | undefined
  /** Where it runs; undefined while it has no worker. */
  protected exchange: OutgoingExchange | undefined
  /** What the balancer has the client keep. */
  protected cookie: string | undefined
  /** Its time with the worker that has it, or had it last. */
  #stay: Stay | undefined
  /** The worker has said that the app was given the request. */
  #begun = false
  /** `undefined` while no worker has failed. */
  #losses: Losses | undefined
  /** `undefined` when it has all the time it wants. */
  #countdown: Countdown | undefined
  #over = false

  constructor(desk: Desk, { req, connection, headers, requestId, flags }: Arrival) {
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
  abstract get procedure(): string
  protected abstract get content(): Content
  /** Where its body is read from. */
  protected abstract get source(): Source
  /** Whether part of the response has gone out. */
  protected abstract get answering(): boolean
  /** A data frame of the response came, whose bytes are to be given back. */
  protected abstract passOn(frame: Frame, exchange: OutgoingExchange): void
  /** The response is complete with these bytes: to `settle`, and to send them. The link that brought them hears what this throws. */
  protected abstract complete(rest: Range, flags: number): void
  /** Ends the response in the middle, so that nobody can take it for complete. */
  protected abstract cut(): void
  /** Answers instead of a worker. `uploading`: the client may be in the middle of sending a body that nobody wants. */
  protected abstract answer(refusal: Refusal, uploading: boolean): void

  /**
   * Whether the client is gone, told or not: of what ends with one connection, each hears of it in its turn, and the first must not make
   * room for the next.
   */
  protected get gone(): boolean {
    return this.req.socket.destroyed
  }

  /** Whether its time is limited only until the response begins. */
  protected get lasts(): boolean {
    return false
  }

  /** What passes its body on. */
  protected uploader(limit: BodyLimit): Upload {
    return new Upload(this.source, limit)
  }

  begin(): void {
    const { limits, peer, timeLimits } = this.desk
    this.client.add(this)
    peer.retries.deposit()
    const { content } = this
    const excess = limits && excessOf(this.req, limits)
    if (excess !== undefined) return this.refuse(excess, content !== 'none')
    if (timeLimits !== undefined && !this.#limitTime(timeLimits)) return
    if (content === 'small')
      return collect(this.source, (body) => {
        this.body = body
        this.#seek()
      })
    if (content === 'stream')
      this.upload = this.uploader({ bytes: limits?.maxBodyBytes, exceeded: () => this.#exceed() })
    this.#seek()
  }

  proceed(): Progress {
    if (this.gone) {
      this.abandon()
      return 'left'
    }
    const chosen = this.#choose()
    if (typeof chosen === 'string') return chosen
    if (this.desk.room.size > 0) this.desk.room.delete(this)
    this.#open(chosen)
    return 'left'
  }

  expire(): void {
    this.refuse(Refusals.noWorker)
  }

  displace(): void {
    this.refuse(Refusals.overloaded)
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
    try {
      this.complete({ bytes, start: body + 1, end }, bytes[body] as number)
    } catch (error) {
      // The client must not wait for the rest. The link that brought the answer is to hear of it.
      this.#breakOff()
      throw error
    }
  }

  error(error: ClusterwireError): void {
    if (this.#over) return
    const { desk, exchange, answering } = this
    this.exchange = undefined
    this.upload?.detach()
    exchange?.abandon()
    if (this.#stay !== undefined) desk.failed(this.#stay, error, answering)
    if (answering) return this.#breakOff()
    this.#losses ??= new Losses(desk, this)
    const refusal = this.#losses.refusalOf(error, {
      member: exchange?.member,
      begun: this.#begun,
      held: this.upload?.repeatable ?? true,
    })
    if (refusal !== undefined) {
      this.refuse(refusal)
      return this.#losses.tell(refusal)
    }
    desk.counters.retried++
    this.#seekAgain()
  }

  recalled(): void {
    this.exchange = undefined
    this.#stay?.end()
    this.desk.counters.recalled++
    this.#seekAgain()
  }

  drain(): void {
    this.upload?.drain()
  }

  /** Answers instead of a worker, and is over. */
  protected refuse(refusal: Refusal, uploading = false): void {
    if (this.#over) return
    this.desk.refused(refusal)
    this.desk.room.delete(this)
    this.settle()
    this.answer(refusal, uploading)
  }

  /** The worker's response begins. To be told once. */
  protected responded(status: number): void {
    this.desk.responded(this.#stay as Stay, status)
  }

  /** From here on no limit applies, and it does not count among its worker's requests. */
  protected unbind(): void {
    this.#countdown?.stop()
    this.#stay?.end()
    if (this.desk.room.size > 0) this.desk.room.advance()
  }

  /** It is over. */
  protected settle(): void {
    this.#over = true
    this.#countdown?.stop()
    this.#stay?.end()
    this.client.remove(this)
    this.upload?.discard()
    this.desk.settled()
  }

  #seek(): void {
    if (this.#over) return
    const { room } = this.desk
    const progress = room.blocked ? 'blocked' : this.proceed()
    if (progress === 'left') return
    const time = this.#countdown?.left ?? Number.POSITIVE_INFINITY
    const refusal = queueUp(this.desk, this, { progress, content: this.content, time })
    if (refusal === undefined) this.upload?.wait()
    else this.refuse(refusal)
  }

  /** Looks for another worker. The one that it was with may take requests still, or again: its place there is free, and nothing else tells. */
  #seekAgain(): void {
    // It was left to the exchange to tell so, which has ended in another way just before.
    if (this.#countdown?.over) this.#timeUp()
    else this.#seek()
    if (this.desk.room.size > 0) this.desk.room.advance()
  }

  /** Finds a worker. When the balancer fails, the request is over. */
  #choose(): Candidate | Progress {
    const { balancer, onError } = this.desk
    try {
      const chosen = chooseWorker(this.desk, this)
      if (balancer.cookieFor !== undefined && typeof chosen === 'object')
        this.cookie = askForCookie(balancer, chosen.member, this.req)
      return chosen
    } catch (error) {
      this.refuse(Refusals.unrouted)
      onError(error, 'balance.choose()')
      return 'left'
    }
  }

  #open({ member, ref }: Candidate): void {
    const isSingle = (this.flags & RequestFlag.single) !== 0
    const introduce = isSingle || !this.client.isKnownTo(member)
    if (introduce) this.flags |= RequestFlag.introduces
    else this.flags &= ~RequestFlag.introduces
    const { peer, loads } = this.desk
    this.#begun = false
    this.#stay = new Stay(loads.of(member), peer.now())
    const countdown = this.lasts ? undefined : this.#countdown
    try {
      const exchange = peer.open<RequestToSend>({
        member,
        ref,
        procedure: this.procedure,
        encode: encodeRequest,
        input: this,
        timeout: countdown?.left ?? 0,
        deadline: countdown?.deadline,
        upload: this.upload !== undefined,
        events: this,
      })
      if (exchange.over) return // Its loss was told from within, and has been dealt with.
      this.exchange = exchange
      if (introduce && !isSingle) this.client.introducedTo(member)
      this.upload?.sendTo(exchange)
    } catch (error) {
      this.error(error as ClusterwireError)
    }
  }

  /** Starts the countdown; whether it has any time at all. */
  #limitTime(limits: TimeLimits): boolean {
    const ms = limits.of(this.req, this.desk.onError)
    if (ms === 0) this.refuse(Refusals.timedOut)
    else if (Number.isNaN(ms)) this.refuse(Refusals.unrouted)
    else if (ms < Number.POSITIVE_INFINITY)
      this.#countdown = new Countdown(this.desk.peer.clock, ms, () => this.#timeUp())
    return !this.#over
  }

  #timeUp(): void {
    // An exchange has the same deadline, and will tell of it; unless it may last.
    if (this.exchange !== undefined && !this.lasts) return
    this.error(new DeadlineExceededError(`${this.method} ${this.url}: the time is up`))
  }

  /** The body has got too large. */
  #exceed(): void {
    const { exchange } = this
    if (this.#over) return
    if (this.answering) this.#breakOff()
    else this.refuse(Refusals.bodyTooLarge, true)
    exchange?.abandon()
  }

  #breakOff(): void {
    this.desk.counters.cut++
    if (!this.#over) this.settle()
    this.cut()
  }
}
