// A request that came by HTTP/1: the worker's bytes are its response, and leave as they are.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { awaitsContinue, keepsAlive, writeInterim } from '../node-internals.js'
import { Piece, pieceOf, pieceStart, REQUEST, RequestFlag, ResponseFlag } from '../wire.js'
import { type Arrival, type ClientConnection, flagsOfConnection } from './connection.js'
import type { Desk } from './desk.js'
import { Forward } from './forward.js'
import { type Amendment, beginsWithHead, isInterim, NOTHING_TO_SAY } from './head.js'
import { InterimAllowance } from './interim.js'
import { misrendered, type Refusal, Refusals, refuse, refuseUpload } from './refusal.js'
import { cutResponse, type Range, RelayedStream, relayWhole, textOf } from './relay.js'
import { type Content, hasBody, isSmall, type Source } from './upload.js'

/** What an HTTP/1 request arrives with. Its flags are those of `http1Flags`. */
export interface Http1Arrival extends Arrival {
  readonly res: ServerResponse
}

/** A request that came by HTTP/1. */
export class Http1Forward extends Forward {
  readonly #res: ServerResponse
  /** Most responses come in one piece. */
  #stream: RelayedStream | undefined
  #interims: InterimAllowance | undefined

  constructor(desk: Desk, arrival: Http1Arrival) {
    super(desk, arrival)
    this.#res = arrival.res
  }

  get procedure(): string {
    return REQUEST
  }

  protected get content(): Content {
    if (!hasBody(this.req)) return 'none'
    return isSmall(this.req) ? 'small' : 'stream'
  }

  protected get source(): Source {
    return this.req
  }

  protected get answering(): boolean {
    return this.#stream !== undefined
  }

  protected passOn(frame: Frame, exchange: OutgoingExchange): void {
    const start = pieceStart(frame)
    if (pieceOf(frame) === Piece.interim) {
      const text = textOf({ bytes: frame.bytes, start, end: frame.end })
      if (!isInterim(text)) return this.error(misrendered())
      this.#interims ??= new InterimAllowance()
      if (this.#interims.admits(text.length)) writeInterim(this.#res, text)
      exchange.consumed(dataBytes(frame))
      return
    }
    if (this.#stream === undefined) {
      const first = textOf({ bytes: frame.bytes, start, end: frame.end })
      if (!beginsWithHead(first)) return this.error(misrendered())
      this.#stream = new RelayedStream(this.#res, first, this.#amendment)
      this.responded(this.#res.statusCode)
    }
    this.#stream.take(exchange, frame, start)
  }

  protected complete(rest: Range, flags: number): void {
    const last = this.desk.closing || (flags & ResponseFlag.last) !== 0
    if (this.#stream !== undefined) {
      this.settle()
      return this.#stream.end(rest, last)
    }
    const text = textOf(rest)
    // Nothing at all is what an app has said that has destroyed its socket.
    if (text !== '' && !beginsWithHead(text)) return this.error(misrendered())
    this.settle()
    relayWhole(this.#res, text, { amendment: this.#amendment, last })
    this.responded(this.#res.statusCode)
  }

  protected cut(): void {
    cutResponse(this.#res)
  }

  protected answer(refusal: Refusal, uploading: boolean): void {
    const res = this.#res
    const refused = { req: this.req, res, requestId: this.requestId }
    if (refusal === Refusals.bodyTooLarge) res.shouldKeepAlive = false
    if (uploading && !awaitsContinue(res)) refuseUpload(refused, refusal, this.desk.peer.clock)
    else refuse(refused, refusal)
  }

  get #amendment(): Amendment {
    const { closing } = this.desk
    const { cookie } = this
    return closing || cookie !== undefined ? { closing, cookie } : NOTHING_TO_SAY
  }
}

/** Whether the client is to be taken for one of HTTP/1.0. As Node does with all that its parser lets pass besides 1.1: 0.9 and 2.0. */
export function isHttp10({ httpVersion }: IncomingMessage): boolean {
  return httpVersion !== '1.1'
}

/** What the worker has to know of a request besides its head. */
export function http1Flags(
  req: IncomingMessage,
  res: ServerResponse,
  connection: ClientConnection,
): number {
  let flags = flagsOfConnection(connection)
  flags |= keepsAlive(res) ? RequestFlag.keepAlive : RequestFlag.single
  if (isHttp10(req)) flags |= RequestFlag.http10
  if (req.headers.expect === undefined) return flags
  if (awaitsContinue(res)) return flags | RequestFlag.awaitsContinue
  return /100-continue/i.test(req.headers.expect) ? flags : flags | RequestFlag.expects
}
