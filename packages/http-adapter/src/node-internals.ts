// The private parts of Node's http objects that the adapter touches, and nothing else does.
//
// Why any at all: the app in the worker gets Node's own request and response, made here without a parser, and the response that Node
// rendered there leaves the front as it is, through the front's own response, so that Node's bookkeeping (pipelining order,
// keep-alive, `Connection: close`, timeouts) stays Node's. Every name below has been the same since Node 12; what is missing is told
// at start, by name, instead of going wrong later. Frameworks swap prototypes (Express), so all of this is done from outside: no
// subclass of ours is ever under an app's request or response.

import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { UnsupportedNodeError } from './errors.js'

interface RequestInternals {
  _addHeaderLines(headers: string[], count: number): void
  /** Something has read from it. */
  _consuming: boolean
  /** What comes in is thrown away. */
  _dumped: boolean
  _dump(): void
  readonly _readableState: { readonly resumeScheduled: boolean }
}

interface ResponseInternals {
  /** The rendered head, `null` before. */
  _header: string | null
  /** Whether the head has been handed to the socket. */
  _headerSent: boolean
  _hasBody: boolean
  /** The connection is closed behind this response. */
  _last: boolean
  _expect_continue: boolean
  _sent100: boolean
  _keepAliveTimeout: number | undefined
  /** The server has a limit of requests for a connection, and this is the last. */
  maxRequestsOnConnectionReached: boolean
  _closed: boolean
  destroyed: boolean
  _writeRaw(data: string, encoding: BufferEncoding): boolean
}

const request = (req: IncomingMessage) => req as unknown as RequestInternals
const response = (res: ServerResponse) => res as unknown as ResponseInternals

/** Node's own mark on a response whose `write` has returned `false`; `undefined` where Node keeps it elsewhere. */
const needDrain = Object.getOwnPropertySymbols(
  new ServerResponse(new IncomingMessage(noSocket())),
).find(({ description }) => description === 'kNeedDrain')

/** @throws UnsupportedNodeError when this Node lacks something that the adapter needs */
export function assertInternals(): void {
  const req = new IncomingMessage(noSocket())
  const res = new ServerResponse(req)
  const needed: readonly [object, readonly string[]][] = [
    [req, ['_addHeaderLines', '_consuming', '_dumped', '_dump', '_readableState']],
    [
      res,
      ['_header', '_headerSent', '_hasBody', '_last', '_expect_continue', '_sent100', '_closed'],
    ],
    [res, ['_keepAliveTimeout', '_writeRaw', 'chunkedEncoding', 'shouldKeepAlive', 'assignSocket']],
    [res, ['maxRequestsOnConnectionReached', 'detachSocket']],
  ]
  for (const [owner, names] of needed)
    for (const name of names)
      if (!(name in owner))
        throw new UnsupportedNodeError(
          `Node ${process.version} has no ${owner.constructor.name}.${name}; @clusterwire/http-adapter was made for Node 20 to 26`,
        )
}

/** Node's constructor wants a socket, and does without. */
function noSocket(): Socket {
  return undefined as unknown as Socket
}

// In the front: a response that was rendered elsewhere.

/** The client waits for `100 Continue`, and nobody has answered that yet. */
export function awaitsContinue(res: ServerResponse): boolean {
  return response(res)._expect_continue && !response(res)._sent100
}

/** Whether the connection may be used again after this response. */
export function keepsAlive(res: ServerResponse): boolean {
  return res.shouldKeepAlive && !response(res).maxRequestsOnConnectionReached
}

/** Milliseconds that the server keeps the response's connection when it is idle. An HTTP/2 server that allows HTTP/1 has no such time. */
export function keepAliveTimeoutOf(res: ServerResponse): number {
  return response(res)._keepAliveTimeout ?? 0
}

/**
 * Sends a whole response, head and body as they are, and ends.
 * It stands in for the rendered head of a response without a body, so that it is one string and one write.
 */
export function endRendered(res: ServerResponse, text: string, last: boolean): void {
  const raw = response(res)
  raw._header = text
  raw._hasBody = false
  raw._last = last
  res.statusCode = statusOf(text)
  res.end()
}

/** What is written from now on goes out as it is. `head` is where it begins. */
export function beginRendered(res: ServerResponse, head: string): void {
  const raw = response(res)
  raw._header = ' '
  raw._headerSent = true
  raw._hasBody = true
  res.chunkedEncoding = false
  res.statusCode = statusOf(head)
}

/** Says whether the connection is to be closed behind the response. */
export function setLast(res: ServerResponse, last: boolean): void {
  response(res)._last = last
}

/** Sends an informational response ahead of the real one. */
export function writeInterim(res: ServerResponse, text: string): void {
  response(res)._writeRaw(text, 'latin1')
}

/** `HTTP/1.1 200 OK`: the three digits, by their places; 0 for nothing at all. Read for every response. */
export function statusOf(head: string): number {
  return digit(head, 9) * 100 + digit(head, 10) * 10 + digit(head, 11) || 0
}

function digit(text: string, at: number): number {
  return text.charCodeAt(at) - 48
}

// In the worker: a request and a response that no parser made.

/** What a request is made from. */
export interface RequestParts {
  readonly method: string
  readonly url: string
  /** Names and values in turn. */
  readonly headers: string[]
}

/** Creates the app's request. */
export function createRequest(
  socket: Duplex,
  parts: RequestParts,
  http10: boolean,
): IncomingMessage {
  const req = new IncomingMessage(socket as Socket)
  req.httpVersionMajor = 1
  req.httpVersionMinor = http10 ? 0 : 1
  req.httpVersion = http10 ? '1.0' : '1.1'
  req.method = parts.method
  req.url = parts.url
  request(req)._addHeaderLines(parts.headers, parts.headers.length)
  return req
}

/** What the response has to know of the client's connection. */
export interface ResponseParts {
  readonly keepAlive: boolean
  /** Milliseconds that an idle connection is kept. */
  readonly keepAliveTimeout: number
  readonly awaitsContinue: boolean
}

/** Creates the app's response and gives it the socket. */
export function createResponse(req: IncomingMessage, parts: ResponseParts): ServerResponse {
  const { socket } = req
  const options = { highWaterMark: socket.writableHighWaterMark }
  // Node takes options here since version 18; its types do not know them yet.
  const res = new (ServerResponse as new (req: IncomingMessage, options: object) => ServerResponse)(
    req,
    options,
  )
  const raw = response(res)
  raw._keepAliveTimeout = parts.keepAliveTimeout
  raw._expect_continue = parts.awaitsContinue
  res.shouldKeepAlive = parts.keepAlive
  res.assignSocket(socket)
  return res
}

/** The request's body is complete. */
export function completeRequest(req: IncomingMessage, trailers: string[] = []): void {
  req.complete = true
  if (trailers.length > 0) request(req)._addHeaderLines(trailers, trailers.length)
  req.push(null)
}

/** The request's body does not come by its socket: `more` is called when there is room for more of it. */
export function readBodyFrom(req: IncomingMessage, more: () => void): void {
  // Node's own makes the socket flow, whose bytes are not the body's.
  req._read = more
}

/** What Node says when a client's connection is gone. */
export function connectionReset(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' })
}

/** Throws away what is left of a body that nobody has begun to read. */
export function dumpUnread(req: IncomingMessage): void {
  const raw = request(req)
  if (!raw._consuming && !raw._readableState.resumeScheduled) raw._dump()
}

/** Whether what comes in for it is thrown away. */
export function isDumped(req: IncomingMessage): boolean {
  return request(req)._dumped
}

/** Whether the connection is to be closed behind the response. */
export function isLast(res: ServerResponse): boolean {
  return response(res)._last
}

/** Takes the socket back from a response that is finished, which closes it. */
export function releaseSocket(res: ServerResponse, socket: Duplex): void {
  res.detachSocket(socket as Socket)
  process.nextTick(emitClose, res)
}

/** Tells a response that waits for room that there is some. */
export function emitDrain(res: ServerResponse): void {
  if (!res.writableNeedDrain) return
  if (needDrain !== undefined) (res as unknown as Record<symbol, boolean>)[needDrain] = false
  res.emit('drain')
}

function emitClose(res: ServerResponse): void {
  const raw = response(res)
  if (raw._closed) return
  raw.destroyed = true
  raw._closed = true
  res.emit('close')
}

/** The response that has its turn on a connection, if one has. */
export function responseOn(socket: Socket): ServerResponse | undefined {
  return (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}
