// A connection that its client wants upgraded: WebSocket, or any other protocol. Bytes both ways between the client and one worker, each
// way as fast as its reader takes them and with an end of its own, for as long as both want.
//
// Until the worker's first byte it is a request like any other: it waits, and goes to another worker when its own is lost. From then on
// it is bound to the worker. When that is lost, the client's connection is reset: an end that nobody meant must not look like one.
//
// Since version 26 Node reads the request's body, if it has one, and hands over a stream of what comes behind that. Before, all that
// comes behind the head is the connection's. What Node has taken for the body is the request's for the app, too.

import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { statusOf } from '../node-internals.js'
import type { Progress } from '../waiting-room.js'
import {
  encodePieceType,
  Piece,
  pieceOf,
  pieceStart,
  REQUEST,
  RequestFlag,
  ResponseFlag,
  UPGRADE,
} from '../wire.js'
import { type Arrival, flagsOfConnection } from './connection.js'
import type { Desk, Upgraded } from './desk.js'
import { Forward } from './forward.js'
import { amend } from './head.js'
import { Http1Forward, http1Flags, isHttp10 } from './http1.js'
import { PacedWriter } from './paced.js'
import { type Refusal, Refusals, refuse, refuseUpload } from './refusal.js'
import { copyOf, type Range, resetSocket, textOf } from './relay.js'
import { type BodyLimit, type Content, hasBody, type Source, Upload } from './upload.js'

/** What an upgrade arrives with. */
export interface TunnelArrival extends Omit<Arrival, 'flags'> {
  /** What comes behind the request. The socket itself, or, where a body is still to come, a stream of Node's that can be read only. */
  readonly behind: Duplex
  /** What of it came already. */
  readonly head: Buffer
}

/** A connection that is being, or has been, upgraded. */
export class Tunnel extends Forward implements Upgraded {
  readonly #arrival: TunnelArrival
  readonly #socket: Socket
  readonly #writer: PacedWriter
  #answering = false
  /** The client has ended its side, and the app its own. */
  #clientEnded = false
  #appEnded = false
  #goodbyeIsDue = false

  constructor(desk: Desk, arrival: TunnelArrival) {
    const { req, connection, behind, head } = arrival
    const { socket } = req
    let flags = RequestFlag.single | flagsOfConnection(connection)
    if (isHttp10(req)) flags |= RequestFlag.http10
    if (hasUnreadBody(req)) flags |= RequestFlag.body
    super(desk, { ...arrival, flags })
    this.#arrival = arrival
    this.#socket = socket
    this.#writer = new PacedWriter(socket)
    desk.tunnels.add(this)
    // The timeouts of requests are over, and so is what Node's server did about errors: they are told by the end of the connection.
    socket.setTimeout(0)
    socket.on('error', ignore)
    behind.on('end', () => {
      this.#clientEnded = true
    })
    if (head.length > 0) behind.unshift(head)
  }

  get procedure(): string {
    return UPGRADE
  }

  protected get content(): Content {
    return 'stream'
  }

  protected get source(): Source {
    return this.#hasBody ? this.req : this.#arrival.behind
  }

  protected get answering(): boolean {
    return this.#answering
  }

  protected override get lasts(): boolean {
    return true
  }

  protected override uploader(limit: BodyLimit): Upload {
    return this.#hasBody
      ? new Upload(this.source, limit, this.#arrival.behind)
      : new Upload(this.source, { ...limit, bytes: undefined })
  }

  override begin(): void {
    if (this.desk.closing) {
      this.client.add(this)
      return this.refuse(Refusals.closed)
    }
    super.begin()
  }

  override proceed(): Progress {
    const { workers } = this.desk
    if (workers.candidates(UPGRADE).length === 0 && workers.candidates(REQUEST).length > 0)
      return this.#proceedUnheard()
    const proceeded = super.proceed()
    this.#sayGoodbye()
    return proceeded
  }

  override abandon(): void {
    // Each side has ended what it had to say: this is no client that goes away.
    if (this.#clientEnded && this.#appEnded) return
    super.abandon()
  }

  override drain(): void {
    this.#sayGoodbye()
    super.drain()
  }

  /** The front closes: the worker is to bring the conversation to its end. */
  goodbye(): void {
    this.#goodbyeIsDue = true
    this.#sayGoodbye()
  }

  protected passOn(frame: Frame, exchange: OutgoingExchange): void {
    const start = pieceStart(frame)
    const piece = this.#answering
      ? frame.keep(start)
      : this.#first({ bytes: frame.bytes, start, end: frame.end })
    if (pieceOf(frame) !== Piece.end) return this.#writer.write(piece, exchange, dataBytes(frame))
    exchange.consumed(dataBytes(frame))
    this.#appEnded = true
    this.#socket.end()
  }

  protected complete(rest: Range, flags: number): void {
    const piece = this.#answering ? copyOf(rest) : this.#first(rest)
    this.settle()
    if (piece.length > 0) this.#socket.write(piece)
    if ((flags & ResponseFlag.reset) !== 0) resetSocket(this.#socket)
    else this.#socket.destroySoon()
  }

  protected cut(): void {
    resetSocket(this.#socket)
  }

  protected answer(refusal: Refusal): void {
    const { req, requestId } = this
    const refused = { req, res: respondOn(req), requestId }
    if (req.complete) refuse(refused, refusal)
    else refuseUpload(refused, refusal, this.desk.peer.clock)
  }

  protected override settle(): void {
    this.desk.tunnels.delete(this)
    super.settle()
  }

  get #hasBody(): boolean {
    return (this.flags & RequestFlag.body) !== 0
  }

  /** The first bytes for the client: the answer to its handshake, as far as that comes at once; nothing is bound by it any more. */
  #first(piece: Range): Buffer {
    const first = textOf(piece)
    // What it is worth as one: an app may speak anything.
    const status = /^HTTP\/1\.[01] [1-5]\d\d/.test(first) ? statusOf(first) : 0
    const cookie = status === 0 ? undefined : this.cookie
    this.#answering = true
    this.responded(status)
    this.unbind()
    return Buffer.from(amend(first, { closing: false, cookie }), 'latin1')
  }

  #sayGoodbye(): void {
    if (!this.#goodbyeIsDue || !this.exchange?.writable) return
    this.#goodbyeIsDue = false
    this.exchange.write(encodePieceType, Piece.goodbye)
  }

  /** As under plain Node: where the app does not listen to upgrades, this is a request like any other, whose client's end is its going away. */
  #proceedUnheard(): 'left' {
    if (this.#clientEnded) {
      this.abandon()
      this.#socket.destroy()
    } else if (hasBody(this.req)) this.refuse(Refusals.notUpgraded)
    else {
      const { req, connection, headers, requestId } = this.#arrival
      const res = respondOn(req)
      const flags = http1Flags(req, res, connection)
      this.desk.entered()
      this.desk.room.delete(this)
      this.settle()
      new Http1Forward(this.desk, { req, res, connection, headers, requestId, flags }).begin()
    }
    return 'left'
  }
}

/** A response on a connection that Node's server has given away. The connection ends with it. */
export function respondOn(req: IncomingMessage): ServerResponse {
  const { socket } = req
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.once('finish', () => {
    res.detachSocket(socket)
    socket.destroySoon()
  })
  return res
}

/** Whether Node takes part of what comes behind the head for the request's body. */
function hasUnreadBody(req: IncomingMessage): boolean {
  return !req.complete || req.readableLength > 0
}

function ignore(): void {}
