// The front: the primary's HTTP side. It takes requests in and gives each to a worker.

import type { IncomingMessage, ServerOptions, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { DrainingError } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { forwardedHeaders, type RequestHeaders, type Trust, withoutRequestId } from '../headers.js'
import { assertInternals } from '../node-internals.js'
import { REQUEST_ID } from '../wire.js'
import { type ClientConnection, connectionOf } from './connection.js'
import { Desk } from './desk.js'
import { Forward } from './forward.js'
import { assertLimit } from './limits.js'
import type { FrontOptions } from './options.js'
import { OwnServer } from './own-server.js'
import { answerHealth, answerMetrics, type Listener, pages, pathOf } from './pages.js'
import { Refusals, refuse } from './refusal.js'
import { type FrontStats, statsOf } from './stats.js'

/**
 * Creates a front, which hands each request to a worker that has called `serveHttp` or `serveFetch`. When the primary drains, so
 * does the front: nobody has to close it.
 *
 * @throws InvalidOptionError; UnsupportedNodeError when this Node lacks something that the adapter needs
 */
export function httpFront(primary: ClusterPeer, options: FrontOptions = {}): HttpFront {
  assertInternals()
  return new HttpFront(primary, options)
}

/** A front. Made by {@link httpFront}. */
export class HttpFront {
  /** Answers a request: a listener for a server of one's own, for its events `request`, `checkContinue` and `checkExpectation`. */
  readonly request: (req: IncomingMessage, res: ServerResponse) => void
  /** Answers an upgrade, which is not supported yet, with 501: a listener for a server of one's own. */
  readonly upgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Answers whether requests can be served now: 200, or 503, with the numbers of workers as JSON. A listener for a server of one's own. */
  readonly health: Listener
  /** Answers with `stats()` in Prometheus' text format 0.0.4. A listener for a server of one's own. */
  readonly metrics: Listener
  readonly #desk: Desk
  readonly #trust: Trust
  readonly #grace: number
  readonly #serverOptions: ServerOptions
  readonly #servers = new Set<OwnServer>()
  readonly #maxConnections: number
  /** Connections that were closed because there were too many. */
  #turnedAway = 0
  /** What the front answers itself, by path; `undefined` when it does not. */
  readonly #pages: ReadonlyMap<string, Listener> | undefined
  #closing: Promise<void> | undefined

  constructor(primary: ClusterPeer, options: FrontOptions) {
    const { trust, grace = 10_000, server = {}, maxConnections = Infinity } = options
    assertLimit('maxConnections', maxConnections, 1)
    this.#desk = new Desk(primary.peer, options)
    this.#maxConnections = maxConnections
    this.health = (req, res) => answerHealth(this.#desk, req, res)
    this.metrics = (req, res) => answerMetrics(this.#desk, this.#traffic, { req, res })
    this.#pages = pages([options.health, this.health], [options.metrics, this.metrics])
    this.#trust = trust
    this.#grace = grace
    this.#serverOptions = server
    this.request = (req, res) => this.#request(req, res)
    this.upgrade = (_req, socket) => refuseUpgrade(socket)
    primary.onDrain(() => this.close())
  }

  /**
   * Listens on a port, 0 for any free one, and resolves with the address when clients can connect.
   *
   * @throws ListenError when the port is taken, or may not be used; DrainingError when the front is closed, or closes meanwhile
   */
  async listen(port: number, host?: string): Promise<AddressInfo> {
    this.#assertOpen()
    const server = new OwnServer(this.#serverOptions, this.request, () => this.#admits())
    this.#servers.add(server)
    try {
      const address = await server.listen(port, host)
      this.#assertOpen()
      return address
    } catch (error) {
      this.#servers.delete(server)
      throw error
    }
  }

  /** What it is doing now, and counts since it was made. */
  stats(): FrontStats {
    return statsOf(this.#desk, this.#traffic)
  }

  /**
   * Stops listening, lets running requests finish and closes their connections behind them. Resolves when no connection is left, by
   * force when the grace is over. Calling it again returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#desk.closing = true
    const servers = [...this.#servers]
    const closed = servers.map((server) => server.close())
    const force = setTimeout(() => {
      for (const server of servers) server.cut()
      // What is left came by a server that is not ours to close.
      this.#desk.giveUp()
    }, this.#grace)
    await Promise.all([...closed, this.#desk.idle()])
    clearTimeout(force)
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new DrainingError('The front is closed')
  }

  get #traffic(): FrontStats['connections'] {
    return { open: this.#connections, turnedAway: this.#turnedAway }
  }

  get #connections(): number {
    let count = 0
    for (const server of this.#servers) count += server.connections
    return count
  }

  #admits(): boolean {
    if (this.#connections < this.#maxConnections) return true
    this.#turnedAway++
    return false
  }

  #request(req: IncomingMessage, res: ServerResponse): void {
    const desk = this.#desk
    const page = this.#pages?.get(pathOf(req))
    if (page !== undefined) return page(req, res)
    desk.counters.requests++
    if (req.httpVersionMajor > 1) {
      desk.refused(Refusals.version)
      return refuse({ req, res, requestId: '' }, Refusals.version)
    }
    const connection = connectionOf(desk.peer, req, res)
    const { headers, requestId } = this.#headers(req, connection)
    if (desk.closing) res.shouldKeepAlive = false
    desk.active++
    new Forward(desk, { req, res, connection, headers, requestId }).begin()
  }

  #headers(req: IncomingMessage, connection: ClientConnection): RequestHeaders {
    const trust = this.#trust
    const own = req.headers[REQUEST_ID] !== undefined
    let headers = trust === undefined ? req.rawHeaders : forwardedHeaders(req, connection, trust)
    if (own && trust === true) return { headers, requestId: '' }
    if (own) headers = withoutRequestId(headers)
    return { headers, requestId: connection.nextRequestId() }
  }
}

function refuseUpgrade(socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  socket.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
}
