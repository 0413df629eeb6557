// What the front answers itself, for load balancers and monitors.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { InvalidOptionError } from '@clusterwire/core'
import type { Desk } from './desk.js'
import { renderMetrics } from './metrics.js'
import { type FrontStats, loadsOf, statsOf } from './stats.js'

/** Answers a request of any version of HTTP. */
export type Listener = (
  req: IncomingMessage | Http2ServerRequest,
  res: ServerResponse | Http2ServerResponse,
) => void

/** A request and what it is answered with. In what is done here, the two versions of these differ in their types only. */
interface Asked {
  readonly req: Parameters<Listener>[0]
  readonly res: Parameters<Listener>[1]
}

/** Listeners by path. @throws InvalidOptionError */
export function pages(
  ...entries: readonly (readonly [path: string | undefined, listener: Listener])[]
): ReadonlyMap<string, Listener> | undefined {
  const found = new Map<string, Listener>()
  for (const [path, listener] of entries) {
    if (path === undefined) continue
    if (!/^\/[!"$->@-~]*$/.test(path) || found.has(path))
      throw new InvalidOptionError(
        `health, metrics: two different paths are allowed, each as a client sends it, got ${JSON.stringify(path)}`,
      )
    found.set(path, listener)
  }
  return found.size === 0 ? undefined : found
}

/** A request's path, without its query: also that of a proxy's request, whose target names scheme and host (RFC 9112, section 3.2.2). */
export function pathOf({ url = '' }: { readonly url?: string | undefined }): string {
  const query = url.indexOf('?')
  const target = query < 0 ? url : url.slice(0, query)
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/]*/i, '') || '/'
}

/** Says whether requests can be served now, and by how many. */
export function answerHealth(desk: Desk, asked: Asked): void {
  const states = loadsOf(desk).map(({ member }) => member.state)
  const ready = states.filter((state) => state === 'ready').length
  const suspect = states.length - ready
  const status = desk.closing ? 'draining' : states.length === 0 ? 'unavailable' : 'ok'
  const body = `${JSON.stringify({ status, workers: { ready, suspect } })}\n`
  if (status !== 'ok') asked.res.setHeader('Retry-After', '1')
  send(asked, { status: status === 'ok' ? 200 : 503, type: 'application/json', body })
}

/** Says all of a front's numbers. */
export function answerMetrics(
  desk: Desk,
  connections: FrontStats['connections'],
  asked: Asked,
): void {
  const body = renderMetrics(statsOf(desk, connections), loadsOf(desk))
  send(asked, { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body })
}

function send(
  asked: Asked,
  { status, type, body }: { readonly status: number; readonly type: string; readonly body: string },
): void {
  const { req } = asked
  const res = asked.res as ServerResponse
  const reads = req.method === 'GET' || req.method === 'HEAD'
  const text = reads ? body : 'Use GET.\n'
  if (!reads) res.setHeader('Allow', 'GET, HEAD')
  res.writeHead(reads ? status : 405, {
    'Content-Type': reads ? type : 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  })
  res.end(text)
}
