// A request that came by HTTP/1: the worker's bytes are its response, and leave as they are.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { awaitsContinue, keepsAlive, writeInterim } from '../node-internals.js'
import { Piece, REQUEST, RequestFlag, ResponseFlag } from '../wire.js'
import type { ClientConnection } from './connection.js'
import {
  type Arrival,
  type Content,
  Forward,
  type FrontDesk,
  flagsOfConnection,
} from './forward.js'
import { type Refusal, refuse } from './refusal.js'
import { cutResponse, type Range, RelayedStream, relayWhole } from './relay.js'
import { hasBody, isSmall, type Source } from './upload.js'

/** What an HTTP/1 request arrives with. Its flags are those of `http1Flags`. */
export interface Http1Arrival extends Arrival {
  readonly res: ServerResponse
}

/** A request that came by HTTP/1. */
export class Http1Forward extends Forward {
  readonly #res: ServerResponse
  /** Most responses come in one piece. */
  #stream: RelayedStream | undefined

  constructor(desk: FrontDesk, arrival: Http1Arrival) {
    super(desk, arrival)
    this.#res = arrival.res
  }

  protected get procedure(): string {
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
    const { bytes, body, end } = frame
    if (bytes[body] === Piece.interim) {
      writeInterim(this.#res, bytes.toString('latin1', body + 1, end))
      exchange.consumed(dataBytes(frame))
    } else {
      this.#stream ??= new RelayedStream(this.#res, this.desk.closing)
      this.#stream.take(exchange, frame, body + 1)
    }
  }

  protected complete(rest: Range, flags: number): void {
    const { closing } = this.desk
    const last = closing || (flags & ResponseFlag.last) !== 0
    if (this.#stream === undefined) relayWhole(this.#res, rest, { last, closing })
    else this.#stream.end(rest, last)
  }

  protected cut(): void {
    cutResponse(this.#res)
  }

  protected answer(refusal: Refusal): void {
    refuse({ req: this.req, res: this.#res, requestId: this.requestId }, refusal)
  }
}

/** What the worker has to know of a request besides its head. */
export function http1Flags(
  req: IncomingMessage,
  res: ServerResponse,
  connection: ClientConnection,
): number {
  let flags = flagsOfConnection(connection)
  flags |= keepsAlive(res) ? RequestFlag.keepAlive : RequestFlag.single
  if (req.httpVersionMinor === 0) flags |= RequestFlag.http10
  if (req.headers.expect === undefined) return flags
  if (awaitsContinue(res)) return flags | RequestFlag.awaitsContinue
  return /100-continue/i.test(req.headers.expect) ? flags : flags | RequestFlag.expects
}
