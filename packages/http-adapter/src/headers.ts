// What the front changes about a request's headers: the request id, and what proxies say of their clients. Nothing else: the app sees
// the client's own connection, so the headers that describe it stay true.

import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { ClientFacts } from './wire.js'
import { REQUEST_ID } from './wire.js'

/**
 * What the front believes of a client.
 * - `undefined`: nothing is asked. `X-Forwarded-*` passes through, since the app is told the client's real address anyway.
 * - `true`: the client is a proxy of ours. Its address is added to `X-Forwarded-For`, and its `X-Request-Id` is kept.
 * - `false`: the client is nobody's proxy. What it says in `X-Forwarded-*` is replaced.
 */
export type Trust = boolean | undefined

/** Headers as the app gets them, and the id to add to them, empty when they contain it. */
export interface RequestHeaders {
  readonly headers: readonly string[]
  readonly requestId: string
}

const FORWARDED = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port']

/** Headers of a request, in both ways that Node gives them. */
export type HeaderSource = Pick<IncomingMessage, 'headers' | 'rawHeaders'>

/** Says where a request came from, in the headers that proxies use for it. */
export function forwardedHeaders(req: HeaderSource, client: ClientFacts, trust: boolean): string[] {
  const { headers, rawHeaders } = req
  const proto = client.encrypted ? 'https' : 'http'
  const host = headers.host ?? ''
  if (!trust)
    return [
      ...without(rawHeaders, [...FORWARDED, 'forwarded']),
      ...['X-Forwarded-For', client.remoteAddress],
      ...['X-Forwarded-Proto', proto],
      ...['X-Forwarded-Host', host],
      ...['X-Forwarded-Port', String(client.localPort)],
    ]
  const chain = headers['x-forwarded-for']
  const result = without(rawHeaders, ['x-forwarded-for'])
  result.push('X-Forwarded-For', chain ? `${chain}, ${client.remoteAddress}` : client.remoteAddress)
  if (headers['x-forwarded-proto'] === undefined) result.push('X-Forwarded-Proto', proto)
  if (headers['x-forwarded-host'] === undefined) result.push('X-Forwarded-Host', host)
  if (headers['x-forwarded-port'] === undefined)
    result.push('X-Forwarded-Port', String(client.localPort))
  return result
}

/** The headers without a client's own request id, for one that is not trusted with it. */
export function withoutRequestId(headers: readonly string[]): string[] {
  return without(headers, [REQUEST_ID])
}

/** Copies names and values, leaving out some names (in lower case). */
function without(headers: readonly string[], names: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (!names.includes(name.toLowerCase())) kept.push(name, headers[i + 1] as string)
  }
  return kept
}

const CONNECTION = [
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]

/** Whether a header (its name in lower case) is about an HTTP/1 connection: HTTP/2 allows none of these (RFC 9113, section 8.2.2). */
export function isConnectionHeader(name: string): boolean {
  return CONNECTION.includes(name)
}

/** An HTTP/2 request's headers, as an HTTP/1.1 client would have sent them. */
export function http1Headers(req: Http2ServerRequest, hasBody: boolean): HeaderSource {
  const { authority, headers, rawHeaders } = req
  // It has one of them: nghttp2 sees to that.
  const host = authority || (headers.host as string)
  const list = ['Host', host]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    // A client may send each cookie by itself; HTTP/1.1 knows one header of them.
    if (!name.startsWith(':') && name !== 'host' && name !== 'cookie')
      list.push(name, rawHeaders[i + 1] as string)
  }
  if (headers.cookie !== undefined) list.push('cookie', headers.cookie)
  // Without either, HTTP/1.1 has no body.
  if (hasBody && headers['content-length'] === undefined) list.push('Transfer-Encoding', 'chunked')
  return { headers: { ...headers, host }, rawHeaders: list }
}
