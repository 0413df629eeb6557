// The worker's HTTP side: any Node app, answering the requests that the front hands over.

import { createServer, type RequestListener, type Server } from 'node:http'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { assertInternals } from '../node-internals.js'
import { CLOSED, decodeHead, REQUEST } from '../wire.js'
import { Clients } from './clients.js'
import { Serving } from './serving.js'

/**
 * Lets an app answer the front's requests from now on. To be called before `worker.ready()`.
 *
 * @param app a `(req, res)` listener: `express()`, `koa.callback()`, `fastify.routing`; or an `http.Server`, which need not listen
 * @returns the server whose events the requests are: the one given, or one made for the listener
 * @throws InvalidContractError when this worker serves an app already, UnsupportedNodeError
 */
export function serveHttp(worker: ClusterPeer, app: RequestListener | Server): Server {
  assertInternals()
  const server = typeof app === 'function' ? createServer(app) : app
  const clients = new Clients(server)
  worker.peer.serve(REQUEST, (exchange, { bytes, end }) => {
    const head = decodeHead(bytes, exchange.inputAt)
    const content = head.end < end ? Buffer.from(bytes.subarray(head.end, end)) : undefined
    const socket = clients.socketFor(head)
    new Serving(exchange, head, { socket, peer: worker.peer }).run(head.flags, content)
  })
  worker.peer.serve(CLOSED, (exchange, { bytes }) => {
    clients.closed(bytes.readDoubleLE(exchange.inputAt))
    exchange.reply(nothing, undefined)
  })
  return server
}

function nothing(): void {}
