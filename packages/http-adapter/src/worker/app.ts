// The forms in which apps come: what each framework gives out to be put behind a server of one's own.

import { createServer, type RequestListener, Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { InvalidOptionError } from '@clusterwire/core'

/** Something that answers requests by Node's own request and response. */
export type NodeApp =
  /** `express()`, `koa.callback()`, `fastify.routing`, Hono's `getRequestListener(app.fetch)`, or one's own. */
  | RequestListener
  /** A server, which need not listen. An `https` one does too: encryption is the front's business. */
  | Server
  | TlsServer
  /** A Fastify instance, when it is `ready()`. */
  | ServerOwner
  /** A Nest app, when it is `init()`ed, or its `getHttpAdapter()`. */
  | ServerGiver
  /** A Koa app. */
  | ListenerMaker

/** What has made its server itself. */
export interface ServerOwner {
  readonly server: object
  readonly routing: (...args: never[]) => unknown
}

/** What gives out its server. */
export interface ServerGiver {
  getHttpServer(): unknown
}

/** What makes listeners. */
export interface ListenerMaker {
  callback(): (...args: never[]) => unknown
}

/**
 * The server whose events an app's requests are: its own, or one made for its listener.
 *
 * @throws InvalidOptionError when it is no app that Node's request and response can be given to
 */
export function serverOf(app: NodeApp): Server {
  const found = findServer(app)
  if (found !== undefined) return found
  throw new InvalidOptionError(`serveHttp(worker, app): ${reason(app)}`)
}

function findServer(app: unknown): Server | undefined {
  if (isServer(app)) return app
  if (typeof app === 'function') return createServer(app as RequestListener)
  if (typeof app !== 'object' || app === null) return undefined
  if (has(app, 'getHttpServer')) return findServer(app.getHttpServer())
  if (has(app, 'routing')) return findServer((app as { readonly server?: unknown }).server)
  if (has(app, 'callback')) return findServer(app.callback())
  return undefined
}

/** An `https` server is none of `http`'s classes, but has its events. It is known by what it can do: to load its class takes 3 ms and 1.8 MiB. */
function isServer(app: unknown): app is Server {
  return app instanceof Server || (app instanceof NetServer && 'setSecureContext' in app)
}

function has<Name extends string>(
  app: object,
  name: Name,
): app is { readonly [N in Name]: () => unknown } {
  return typeof (app as Record<string, unknown>)[name] === 'function'
}

function reason(app: unknown): string {
  if (typeof app !== 'object' || app === null)
    return `a listener, a server or a framework's app is wanted, got ${String(app)}`
  if (has(app, 'then')) return 'got a promise: await the app first'
  if (has(app, 'fetch')) return 'this app takes a Request: use serveFetch(worker, app.fetch)'
  return 'this object is no app that is known here: pass its (req, res) listener, or its http.Server'
}
