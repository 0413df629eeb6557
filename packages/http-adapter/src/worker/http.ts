// The worker's HTTP side: any Node app, answering the requests that the front hands over.

import type { Server } from 'node:http'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { assertInternals } from '../node-internals.js'
import { CLOSED, decodeHead, REQUEST } from '../wire.js'
import { type NodeApp, serverOf } from './app.js'
import { Clients } from './clients.js'
import { Serving } from './serving.js'

/**
 * Lets an app answer the front's requests from now on. To be called before `worker.ready()`.
 *
 * @param app a `(req, res)` listener; an `http.Server`, which need not listen; or a framework's app: Express, Koa, Fastify when it is
 *   `ready()`, Nest when it is `init()`ed
 * @returns the server whose events the requests are: the app's own, or one made for its listener
 * @throws InvalidOptionError when the app is none of these, InvalidContractError when this worker serves one already,
 *   UnsupportedNodeError
 */
export function serveHttp(worker: ClusterPeer, app: NodeApp): Server {
  assertInternals()
  const server = serverOf(app)
  const clients = new Clients(server)
  worker.peer.serve(REQUEST, (exchange, { bytes, end }) => {
    const head = decodeHead(bytes, exchange.inputAt)
    const content = head.end < end ? Buffer.from(bytes.subarray(head.end, end)) : undefined
    new Serving(exchange, head, clients.socketFor(head)).run(head.flags, content)
  })
  worker.peer.serve(CLOSED, (exchange, { bytes }) => {
    clients.closed(bytes.readDoubleLE(exchange.inputAt))
    exchange.reply(nothing, undefined)
  })
  return server
}

function nothing(): void {}
