// What the front changes about a request's headers: the request id, and what proxies say of their clients. Nothing else: the app sees
// the client's own connection, so the headers that describe it stay true.

import type { IncomingMessage } from 'node:http'
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

/** Says where a request came from, in the headers that proxies use for it. */
export function forwardedHeaders(
  req: IncomingMessage,
  client: ClientFacts,
  trust: boolean,
): string[] {
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
