// A request that came by HTTP/2. The worker serves it as HTTP/1.1, and its response is taken apart and told in HTTP/2's own way: no reason
// phrase, nothing about the connection, and a reset where HTTP/1 has nothing but to close.

import type { IncomingMessage } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { isConnectionHeader } from '../headers.js'
import { Piece, REQUEST, RequestFlag } from '../wire.js'
import {
  type Arrival,
  type Content,
  Forward,
  type FrontDesk,
  flagsOfConnection,
} from './forward.js'
import { PacedWriter } from './paced.js'
import { type Refusal, type Refused, refuse } from './refusal.js'
import type { Range } from './relay.js'
import { parseHead, ResponseDecoder, type ResponseParts } from './response-decoder.js'
import { isSmall, type Source } from './upload.js'

/** What an HTTP/2 request arrives with. */
export interface Http2Arrival extends Omit<Arrival, 'flags' | 'req'> {
  readonly req: Http2ServerRequest
  readonly res: Http2ServerResponse
}

/** A request that came by HTTP/2. */
export class Http2Forward extends Forward implements ResponseParts {
  readonly #req: Http2ServerRequest
  readonly #res: Http2ServerResponse
  readonly #decoder: ResponseDecoder
  readonly #writer: PacedWriter
  /** A byte of the response has come. */
  #answering = false
  /** The client took all that was written so far. */
  #hasRoom = true

  constructor(desk: FrontDesk, { req, res, connection, headers, requestId }: Http2Arrival) {
    const flags = RequestFlag.keepAlive | flagsOf(req) | flagsOfConnection(connection)
    super(desk, { req: asHttp1(req), connection, headers, requestId, flags })
    this.#req = req
    this.#res = res
    this.#decoder = new ResponseDecoder(this, req.method === 'HEAD')
    this.#writer = new PacedWriter(res)
    // Streams end one by one, and their session lives on.
    res.on('close', () => this.abandon())
  }

  protected get procedure(): string {
    return REQUEST
  }

  protected get content(): Content {
    if (!hasHttp2Body(this.#req)) return 'none'
    return isSmall(this.req) ? 'small' : 'stream'
  }

  protected get source(): Source {
    return this.#req
  }

  protected get answering(): boolean {
    return this.#answering
  }

  protected passOn(frame: Frame, exchange: OutgoingExchange): void {
    const { bytes, body, end } = frame
    if (bytes[body] === Piece.interim) this.#interim(bytes.toString('latin1', body + 1, end))
    else {
      this.#answering = true
      this.#hasRoom = true
      this.#push({ bytes, start: body + 1, end })
    }
    if (this.#hasRoom) exchange.consumed(dataBytes(frame))
    else this.#writer.owe(exchange, dataBytes(frame))
  }

  protected complete(rest: Range): void {
    this.#push(rest)
    if (this.#decoder.complete) this.#res.end()
    else this.cut()
  }

  protected cut(): void {
    this.#res.stream?.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  protected answer(refusal: Refusal): void {
    // Of what a refusal needs, the two kinds of response differ in their types only.
    const res = this.#res as unknown as Refused['res']
    refuse({ req: this.#req, res, requestId: this.requestId }, refusal)
  }

  // The parts of the response, as the decoder finds them.

  onHead(status: number, headers: readonly string[]): void {
    // The app's headers are all there are.
    this.#res.sendDate = false
    this.#res.writeHead(status, http2Headers(headers))
  }

  onBody(bytes: Buffer): void {
    this.#hasRoom = this.#res.write(bytes)
  }

  onTrailers(trailers: readonly string[]): void {
    this.#res.addTrailers(http2Headers(trailers))
  }

  #interim(text: string): void {
    const { status, headers } = parseHead(text.slice(0, text.indexOf('\r\n\r\n')))
    const { stream } = this.#res
    // 101 is no answer to anything here.
    if (stream === undefined || stream.destroyed || stream.headersSent || status === 101) return
    stream.additionalHeaders({ ':status': status, ...http2Headers(headers) })
  }

  /** What the app answered and HTTP/2 has no words for ends this stream, and nothing else. */
  #push({ bytes, start, end }: Range): void {
    try {
      // The frame's bytes are the transport's.
      this.#decoder.push(Buffer.from(bytes.subarray(start, end)))
    } catch (error) {
      this.cut()
      this.desk.onError(error, `an HTTP/2 response to ${this.method} ${this.url}`)
    }
  }
}

/** Whether a body follows the headers. */
export function hasHttp2Body({ stream }: Http2ServerRequest): boolean {
  return !(stream as { readonly endAfterHeaders?: boolean }).endAfterHeaders
}

/** For the balancer: what Node offers here has all that it looks at. */
function asHttp1(req: Http2ServerRequest): IncomingMessage {
  return req as unknown as IncomingMessage
}

function flagsOf({ headers: { expect } }: Http2ServerRequest): number {
  if (expect === undefined) return 0
  return expect === '100-continue' ? RequestFlag.awaitsContinue : RequestFlag.expects
}

/** Names with their values, without what is about an HTTP/1 connection. */
function http2Headers(list: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = Object.create(null)
  const isNamed = namedByConnection(list)
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string
    const value = list[i + 1] as string
    const known = headers[name]
    if (isConnectionHeader(name) || isNamed(name)) continue
    if (known === undefined) headers[name] = value
    else headers[name] = Array.isArray(known) ? [...known, value] : [known, value]
  }
  return headers
}

/** Tells the headers that a `Connection` header says are about the connection. */
function namedByConnection(list: readonly string[]): (name: string) => boolean {
  const named: string[] = []
  for (let i = 0; i < list.length; i += 2)
    if (list[i] === 'connection')
      named.push(...(list[i + 1] as string).toLowerCase().split(/\s*,\s*/))
  return (name) => named.includes(name)
}
