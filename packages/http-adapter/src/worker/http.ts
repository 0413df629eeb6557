// The worker's HTTP side: any Node app, answering the requests that the front hands over.

import type { Server } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { assertInternals } from '../node-internals.js'
import type { UpgradeListener } from '../upgrade.js'
import { CLOSED, decodeHead, REQUEST, UPGRADE } from '../wire.js'
import { type NodeApp, serverOf } from './app.js'
import { Clients } from './clients.js'
import { Serving } from './serving.js'
import { Tunnels } from './tunnels.js'

/** How an app is served. */
export interface HttpOptions {
  /** Takes over connections whose clients want an upgrade: as `server.on('upgrade', …)`, for an app that has no server. Default: nothing */
  readonly upgrade?: UpgradeListener
  /**
   * Milliseconds that upgraded connections are left alone when this worker, or the front, is to finish: time for the app to say goodbye in
   * its own way (`worker.onDrain`). Each gets between half and all of it; then a WebSocket is sent `1001 Going Away`, any other
   * protocol an end, and one second later the connection is closed. Default 1000
   */
  readonly upgradeGrace?: number
}

/**
 * Lets an app answer the front's requests from now on. To be called before `worker.ready()`.
 *
 * @param app a `(req, res)` listener; an `http.Server`, which need not listen; or a framework's app: Express, Koa, Fastify when it is
 *   `ready()`, Nest when it is `init()`ed
 * @returns the server whose events the requests are: the app's own, or one made for its listener. When it has a listener for `upgrade`,
 *   sooner or later, this worker takes over connections too.
 * @throws InvalidOptionError when the app is none of these, InvalidContractError when this worker serves one already,
 *   UnsupportedNodeError
 */
export function serveHttp(
  worker: ClusterPeer,
  app: NodeApp,
  { upgrade, upgradeGrace = 1_000 }: HttpOptions = {},
): Server {
  assertInternals()
  if (!(upgradeGrace >= 0 && upgradeGrace < 2 ** 31))
    throw new InvalidOptionError(
      `serveHttp({ upgradeGrace }): milliseconds, 0 or more, are allowed, got ${String(upgradeGrace)}`,
    )
  const { peer } = worker
  const server = serverOf(app)
  const clients = new Clients(server)
  peer.serve(REQUEST, (exchange, { bytes, end }) => {
    const head = decodeHead(bytes, exchange.inputAt)
    const content = head.end < end ? Buffer.from(bytes.subarray(head.end, end)) : undefined
    const socket = clients.socketFor(head)
    if (!exchange.begin()) return
    new Serving(exchange, head, { socket, peer: worker.peer }).run(head.flags, content)
  })
  peer.serve(CLOSED, (exchange, { bytes }) => {
    clients.closed(bytes.readDoubleLE(exchange.inputAt))
    exchange.reply(nothing, undefined)
  })
  const tunnels = new Tunnels(server, peer, upgradeGrace)
  worker.onDrain(() => tunnels.drain())
  if (upgrade !== undefined) server.on('upgrade', upgrade)
  whenHeard(server, 'upgrade', () => {
    if (!peer.closed) peer.serve(UPGRADE, tunnels.take)
  })
  return server
}

/** Runs `then` once, when somebody listens to the event. */
function whenHeard(server: Server, event: string, then: () => void): void {
  if (server.listenerCount(event) > 0) return then()
  const onListener = (name: string | symbol) => {
    if (name !== event) return
    server.removeListener('newListener', onListener)
    then()
  }
  server.on('newListener', onListener)
}

function nothing(): void {}
