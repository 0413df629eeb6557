// A request that came by HTTP/2. The worker serves it as HTTP/1.1, and its response is taken apart and told in HTTP/2's own way: no reason
// phrase, nothing about the connection, and a reset where HTTP/1 has nothing but to close.

import { IncomingMessage } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { dataBytes, type Frame, type OutgoingExchange } from '@clusterwire/core/peer'
import { isConnectionHeader } from '../headers.js'
import { Piece, pieceOf, pieceStart, REQUEST, RequestFlag } from '../wire.js'
import { type Arrival, flagsOfConnection } from './connection.js'
import type { Desk } from './desk.js'
import { Forward } from './forward.js'
import { beginsWithHead, isInformational, isInterim } from './head.js'
import { InterimAllowance } from './interim.js'
import { PacedWriter } from './paced.js'
import { misrendered, type Refusal, type Refused, refuse } from './refusal.js'
import { copyOf, type Range, textOf } from './relay.js'
import { ResetCode } from './reset-code.js'
import { parseHead, ResponseDecoder, type ResponseParts } from './response-decoder.js'
import { type Content, isSmall, type Source } from './upload.js'

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
  #interims: InterimAllowance | undefined
  /** The client took all that was written so far. */
  #hasRoom = true

  constructor(desk: Desk, { req, res, connection, headers, requestId }: Http2Arrival) {
    const flags = RequestFlag.keepAlive | flagsOf(req) | flagsOfConnection(connection)
    super(desk, { req: asHttp1(req), connection, headers, requestId, flags })
    this.#req = req
    this.#res = res
    this.#decoder = new ResponseDecoder(this, req.method === 'HEAD')
    this.#writer = new PacedWriter(res)
    // Streams end one by one, and their session lives on.
    res.on('close', () => this.abandon())
  }

  get procedure(): string {
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

  protected override get gone(): boolean {
    return this.#req.stream.destroyed
  }

  protected passOn(frame: Frame, exchange: OutgoingExchange): void {
    this.#hasRoom = true
    if (this.#answering) this.#push(frame.keep(pieceStart(frame)))
    else if (!this.#begin(frame)) return this.error(misrendered())
    if (this.#hasRoom) exchange.consumed(dataBytes(frame))
    else this.#writer.owe(exchange, dataBytes(frame))
  }

  protected complete(rest: Range): void {
    const isWhole = !this.#answering && rest.start < rest.end
    if (isWhole && !beginsWithHead(textOf(rest))) return this.error(misrendered())
    this.#push(copyOf(rest))
    this.settle()
    if (this.#decoder.complete) this.#res.end()
    else this.cut()
  }

  protected cut(): void {
    this.#res.stream?.close(ResetCode.internalError)
  }

  protected answer(refusal: Refusal, uploading: boolean): void {
    // Of what a refusal needs, the two kinds of response differ in their types only.
    const res = this.#res as unknown as Refused['res']
    refuse({ req: this.#req, res, requestId: this.requestId }, refusal)
    // Behind the answer: the client is to send no more (RFC 9113, section 8.1).
    if (uploading) this.#res.stream?.close(ResetCode.noError)
  }

  // The parts of the response, as the decoder finds them.

  onHead(status: number, headers: readonly string[]): void {
    // The app's headers are all there are.
    this.#res.sendDate = false
    const { cookie } = this
    const list = cookie === undefined ? headers : [...headers, 'set-cookie', cookie]
    this.responded(status)
    this.#res.writeHead(status, http2Headers(list))
  }

  onBody(bytes: Buffer): void {
    this.#hasRoom = this.#res.write(bytes)
  }

  onTrailers(trailers: readonly string[]): void {
    this.#res.addTrailers(http2Headers(trailers))
  }

  #inform(text: string): void {
    const { stream } = this.#res
    this.#interims ??= new InterimAllowance()
    if (!this.#interims.admits(text.length)) return
    for (const head of text.split('\r\n\r\n').slice(0, -1)) {
      const { status, headers } = parseHead(head)
      // 101 is no answer to anything here.
      if (stream === undefined || stream.destroyed || stream.headersSent || status === 101) return
      try {
        stream.additionalHeaders({ ':status': status, ...http2Headers(headers) })
      } catch (error) {
        this.desk.onError(error, `a ${status} to ${this.method} ${this.url} over HTTP/2, left out`)
      }
    }
  }

  /** The first piece, and informational ones before it. Whether it begins as a response does. */
  #begin(frame: Frame): boolean {
    const piece = { bytes: frame.bytes, start: pieceStart(frame), end: frame.end }
    const first = textOf(piece)
    const isRight = pieceOf(frame) === Piece.interim ? isInterim : beginsWithHead
    if (!isRight(first)) return false
    if (isInformational(first)) this.#inform(first)
    else this.#push(copyOf(piece))
    return true
  }

  /** What the app answered and HTTP/2 has no words for ends this stream, and nothing else. */
  #push(bytes: Buffer): void {
    this.#answering = true
    try {
      this.#decoder.push(bytes)
    } catch (error) {
      this.cut()
      this.desk.onError(error, `an HTTP/2 response to ${this.method} ${this.url}`)
    }
  }
}

/**
 * Whether a request came by HTTP/2: by what it is, not by its version, as over HTTP/1 a client can write any there, 2.0 too. To ask for its class
 * would be to load `node:http2`, and TLS with it: 5 ms and 1.8 MiB.
 */
export function isHttp2(req: IncomingMessage | Http2ServerRequest): req is Http2ServerRequest {
  return !(req instanceof IncomingMessage) && 'stream' in req
}

/** Whether a body follows the headers. */
export function hasHttp2Body({ stream }: Http2ServerRequest): boolean {
  return !(stream as { readonly endAfterHeaders?: boolean }).endAfterHeaders
}

/** For the balancer: what Node offers here has all that it looks at. */
function asHttp1(req: Http2ServerRequest): IncomingMessage {
  return req as unknown as IncomingMessage
}

function flagsOf({ headers: { expect }, stream }: Http2ServerRequest): number {
  if (expect === undefined) return 0
  // A server without a listener for `checkContinue` has said it already.
  if ((stream.sentInfoHeaders ?? []).length > 0) return 0
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
