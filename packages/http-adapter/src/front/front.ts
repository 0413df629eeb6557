// The front: the primary's HTTP side. It takes requests in and gives each to a worker.

import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerOptions, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { DrainingError } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import {
  forwardedHeaders,
  type HeaderSource,
  http1Headers,
  type RequestHeaders,
  type Trust,
  withoutRequestId,
} from '../headers.js'
import { assertInternals, keepAliveTimeoutOf, responseOn } from '../node-internals.js'
import type { UpgradeListener } from '../upgrade.js'
import { REQUEST, REQUEST_ID, UPGRADE } from '../wire.js'
import { type ClientConnection, connectionOf, connectionOfSession } from './connection.js'
import { Desk } from './desk.js'
import type { FrontEvents } from './events.js'
import { Http1Forward, http1Flags } from './http1.js'
import { Http2Forward, hasHttp2Body, isHttp2 } from './http2.js'
import { assertLimit } from './limits.js'
import type { FrontOptions } from './options.js'
import { OwnServer } from './own-server.js'
import { answerHealth, answerMetrics, type Listener, pages, pathOf } from './pages.js'
import { Sessions } from './sessions.js'
import { type FrontStats, statsOf } from './stats.js'
import { respondOn, Tunnel } from './tunnel.js'
import type { Workers } from './workers.js'

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
  /**
   * Answers a request: a listener for a server of one's own, of `node:http`, `node:https` or `node:http2`, for its events `request`,
   * `checkContinue` and `checkExpectation`.
   */
  readonly request: Listener
  /**
   * Connects a client that wants an upgrade, to WebSocket or anything else, with a worker whose app listens to upgrades: a listener for a
   * server of one's own, for its event `upgrade`. Where no app does, it answers as if nobody had listened here: as an ordinary
   * request, except one with a body, which gets 501.
   */
  readonly upgrade: UpgradeListener
  /** Answers whether requests can be served now: 200, or 503, with the numbers of workers as JSON. A listener as `request` is one. */
  readonly health: Listener
  /** Answers with `stats()` in Prometheus' text format 0.0.4. A listener as `request` is one. */
  readonly metrics: Listener
  /** Tells of what happens to requests, beside the numbers of `stats()`. */
  readonly events: EventEmitter<FrontEvents>
  readonly #desk: Desk
  readonly #trust: Trust
  readonly #grace: number
  readonly #serverOptions: ServerOptions
  readonly #servers = new Set<OwnServer>()
  readonly #sessions = new Sessions()
  readonly #maxConnections: number
  /** Connections that were closed because there were too many. */
  #turnedAway = 0
  /** What the front answers itself, by path; `undefined` when it does not. */
  readonly #pages: ReadonlyMap<string, Listener> | undefined
  /** Whether the workers' app listens to upgrades; while that is not known, they wait for it as all requests do. */
  #upgrades = true
  #closing: Promise<void> | undefined
  /** Ends that the primary knows of it. */
  readonly #forget: () => void

  /** @param workers those that it may choose from. Default: all of the primary's */
  constructor(
    primary: ClusterPeer,
    options: FrontOptions,
    workers: Workers = primary.peer.directory,
  ) {
    const { trust, grace = 10_000, server = {}, maxConnections = Infinity } = options
    assertLimit('maxConnections', maxConnections, 1)
    this.#desk = new Desk(primary.peer, options, workers)
    this.events = this.#desk.events
    this.#maxConnections = maxConnections
    this.health = (req, res) => answerHealth(this.#desk, { req, res })
    this.metrics = (req, res) => answerMetrics(this.#desk, this.#traffic, { req, res })
    this.#pages = pages([options.health, this.health], [options.metrics, this.metrics])
    this.#trust = trust
    this.#grace = grace
    this.#serverOptions = server
    this.request = (req, res) => {
      const page = this.#pages?.get(pathOf(req))
      if (page !== undefined) page(req, res)
      else if (isHttp2(req)) this.#requestHttp2(req, res as Http2ServerResponse)
      else this.#request(req, res as ServerResponse)
    }
    this.upgrade = (req, socket, head) => {
      socket.on('error', ignore) // Node listens no longer.
      this.#upgradeInTurn(req, socket, head)
    }
    const forgets = [primary.onDrain(() => this.close()), workers.onChange(() => this.#learn())]
    this.#forget = () => {
      for (const forget of forgets) forget()
    }
    this.#learn()
  }

  /**
   * Listens on a port, 0 for any free one, and resolves with the address when clients can connect.
   *
   * @throws ListenError when the port is taken, or may not be used; DrainingError when the front is closed, or closes meanwhile
   */
  async listen(port: number, host?: string): Promise<AddressInfo> {
    this.#assertOpen()
    const server = new OwnServer(this.#serverOptions, {
      request: this.request,
      upgrade: this.upgrade,
      admits: () => this.#admits(),
    })
    server.upgrades = this.#upgrades
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
   * Stops listening, lets running requests finish and closes their connections behind them; upgraded connections are brought to their
   * end by their workers, HTTP/2 sessions that requests have come by get GOAWAY. Resolves when none of these is left, by force when the grace
   * is over. Calling it again returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#desk.closing = true
    for (const tunnel of this.#desk.tunnels) tunnel.goodbye()
    const servers = [...this.#servers]
    const closed = servers.map((server) => server.close())
    const force = setTimeout(() => {
      for (const server of servers) server.cut()
      void this.#sessions.cut()
      // What is left came by a server that is not ours to close.
      this.#desk.giveUp()
    }, this.#grace)
    await Promise.all([...closed, this.#sessions.close(), this.#desk.idle()])
    clearTimeout(force)
    this.#forget()
    this.#desk.retire()
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
    desk.counters.requests++
    const connection = connectionOf(desk.peer, req.socket, keepAliveTimeoutOf(res))
    const { headers, requestId } = this.#headers(req, connection)
    if (desk.closing) res.shouldKeepAlive = false
    desk.entered()
    const flags = http1Flags(req, res, connection)
    new Http1Forward(desk, { req, res, connection, headers, requestId, flags }).begin()
  }

  #requestHttp2(req: Http2ServerRequest, res: Http2ServerResponse): void {
    const desk = this.#desk
    const { session } = req.stream
    if (session === undefined) return // The client is gone.
    desk.counters.requests++
    this.#sessions.add(session as ServerHttp2Session)
    const connection = connectionOfSession(desk.peer, session as ServerHttp2Session)
    const source = http1Headers(req, hasHttp2Body(req))
    const { headers, requestId } = this.#headers(source, connection)
    desk.entered()
    new Http2Forward(desk, { req, res, connection, headers, requestId }).begin()
  }

  /** Behind the responses to what the client has asked before on the same connection. */
  #upgradeInTurn(req: IncomingMessage, behind: Duplex, head: Buffer): void {
    const earlier = responseOn(req.socket)
    if (earlier === undefined) return this.#upgrade(req, behind, head)
    const next = () => {
      if (!req.socket.destroyed) this.#upgradeInTurn(req, behind, head)
    }
    // When Node has put the one behind it in its place.
    earlier.once('close', () => setImmediate(next))
  }

  #upgrade(req: IncomingMessage, behind: Duplex, head: Buffer): void {
    const desk = this.#desk
    const page = this.#pages?.get(pathOf(req))
    if (page !== undefined) return page(req, respondOn(req))
    desk.counters.requests++
    const connection = connectionOf(desk.peer, req.socket, 0)
    const { headers, requestId } = this.#headers(req, connection)
    desk.entered()
    new Tunnel(desk, { req, behind, head, connection, headers, requestId }).begin()
  }

  /** The workers have changed. Their app listens to upgrades or it does not; when none of them is there, it did what it did. */
  #learn(): void {
    const { workers } = this.#desk
    const upgrades = workers.candidates(UPGRADE).length > 0
    if (upgrades === this.#upgrades || workers.candidates(REQUEST).length === 0) return
    this.#upgrades = upgrades
    for (const server of this.#servers) server.upgrades = upgrades
  }

  #headers(req: HeaderSource, connection: ClientConnection): RequestHeaders {
    const trust = this.#trust
    const own = req.headers[REQUEST_ID] !== undefined
    let headers = trust === undefined ? req.rawHeaders : forwardedHeaders(req, connection, trust)
    if (own && trust === true) return { headers, requestId: '' }
    if (own) headers = withoutRequestId(headers)
    return { headers, requestId: connection.nextRequestId() }
  }
}

function ignore(): void {}
