// The worker's HTTP side for apps that speak the web's Request and Response: Hono and its kind. Built on serveHttp, so everything that
// is true of a Node app's requests is true of these.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { DeadlineExceededError } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { serveHttp } from './http.js'
import { requestScope } from './scope.js'

/**
 * Answers a request. Its `signal` aborts before the answer is complete when the request's time is up, with a `DeadlineExceededError`, and when the
 * client goes away, with an `AbortError`.
 */
export type FetchHandler = (request: Request) => Response | Promise<Response>

/** How a fetch handler is served. */
export interface FetchOptions {
  /** Gets what the handler throws, and what its bodies fail with; the client is told nothing of it. Default: prints it on stderr */
  readonly onError?: (error: unknown) => void
}

/**
 * Lets a fetch handler, such as `hono.fetch`, answer the front's requests from now on. To be called before `worker.ready()`.
 *
 * @throws InvalidContractError when this worker serves an app already, UnsupportedNodeError
 */
export function serveFetch(
  worker: ClusterPeer,
  handler: FetchHandler,
  { onError = printError }: FetchOptions = {},
): Server {
  return serveHttp(worker, (req, res) => {
    answer(handler, req, res).catch((error: unknown) => {
      fail(res, error)
      onError(error)
    })
  })
}

async function answer(
  handler: FetchHandler,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) gone.abort(reasonOf(req))
  })
  const request = requestOf(req, gone.signal)
  if (typeof request === 'number') return void res.writeHead(request).end()
  const response = await handler(request)
  res.statusCode = response.status
  if (response.statusText !== '') res.statusMessage = response.statusText
  for (const [name, value] of response.headers) res.appendHeader(name, value)
  if (response.body === null || req.method === 'HEAD') {
    await response.body?.cancel()
    res.end()
  } else await send(response.body as ReadableStream<Uint8Array>, res)
}

/** Why nobody waits for the answer any more. */
function reasonOf(req: IncomingMessage): Error {
  const reason: unknown = requestScope(req)?.signal.reason
  return reason instanceof DeadlineExceededError
    ? reason
    : new DOMException('The client is gone', 'AbortError')
}

/** Methods that a `Request` can't have. */
const FORBIDDEN = new Set(['CONNECT', 'TRACE', 'TRACK'])

/** The request; or the status to refuse it with, which is its client's fault alone. */
function requestOf(req: IncomingMessage, signal: AbortSignal): Request | 400 | 501 {
  const { method = 'GET', headers, rawHeaders } = req
  const pairs: [string, string][] = []
  for (let i = 0; i < rawHeaders.length; i += 2)
    pairs.push([rawHeaders[i] as string, rawHeaders[i + 1] as string])
  const hasBody =
    method !== 'GET' &&
    method !== 'HEAD' &&
    (headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined)
  if (FORBIDDEN.has(method)) return 501
  const url = urlOf(req)
  if (url === undefined) return 400
  return new Request(url, {
    ...{ method, headers: pairs, signal },
    ...(hasBody && { body: Readable.toWeb(req), duplex: 'half' }),
  })
}

/** Undefined when what the client sent makes no URL, or one of another path than the front has seen. */
function urlOf({ url = '/', headers, socket }: IncomingMessage): string | undefined {
  const { host = 'localhost' } = headers
  if (/[^\w.:[\]-]/.test(host)) return undefined
  const base = `${'encrypted' in socket ? 'https' : 'http'}://${host}`
  // Joined as text: to `new URL`, a path that begins with // names another host.
  const whole = url.startsWith('/') ? base + url : url
  return URL.canParse(whole, base) ? new URL(whole, base).href : undefined
}

/**
 * Sends a body as fast as the client takes it; when the client is gone, the body's source is told. Most bodies are one piece that is
 * there already: such a one is ended with it, for that is how Node gets to know its length.
 */
async function send(body: ReadableStream<Uint8Array>, res: ServerResponse): Promise<void> {
  const reader = body.getReader()
  const stop = () => void reader.cancel().catch(() => undefined)
  res.once('close', stop)
  const turnIsOver = turn()
  let next = reader.read()
  const first = await Promise.race([next, turnIsOver])
  if (first === undefined) res.flushHeaders()
  else if (!first.done) {
    next = reader.read()
    const second = await Promise.race([next, turnIsOver])
    if (second?.done) res.end(first.value)
    else if (!res.write(first.value)) await roomIn(res)
  }
  for (let piece = await next; !piece.done && !res.destroyed; piece = await reader.read())
    if (!res.write(piece.value)) await roomIn(res)
  res.removeListener('close', stop)
  if (!res.writableEnded) res.end()
}

function roomIn(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve()
    const go = () => {
      res.removeListener('drain', go).removeListener('close', go)
      resolve()
    }
    res.on('drain', go).on('close', go)
  })
}

/** The handler threw, or its body failed. A response that has begun is cut: it must not look complete. */
function fail(res: ServerResponse, error: unknown): void {
  if (res.headersSent) return void res.destroy(error instanceof Error ? error : undefined)
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  res
    .writeHead(500, 'Internal Server Error', { 'content-type': 'text/plain; charset=utf-8' })
    .end('Internal Server Error\n')
}

function printError(error: unknown): void {
  process.stderr.write(`${inspect(error)}\n`)
}
