// The front: the primary's HTTP side. It takes requests in and gives each to a worker.

import type { IncomingMessage, ServerOptions, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { DrainingError } from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import type { Peer } from '@clusterwire/core/peer'
import { type Balancer, leastPending } from '../balancer.js'
import { type OnError, printError } from '../errors.js'
import { forwardedHeaders, type RequestHeaders, type Trust, withoutRequestId } from '../headers.js'
import { assertInternals } from '../node-internals.js'
import { type QueueOptions, WaitingRoom } from '../waiting-room.js'
import { REQUEST, REQUEST_ID } from '../wire.js'
import { type ClientConnection, connectionOf } from './connection.js'
import { type Counters, Forward, type FrontDesk } from './forward.js'
import { OwnServer } from './own-server.js'
import { Refusals, refuse } from './refusal.js'

/** How a front works. */
export interface FrontOptions {
  /** Who gets each request. Default `leastPending()` */
  readonly balance?: Balancer
  /** Where requests wait while no worker is ready. */
  readonly queue?: QueueOptions
  /** What happens to a request whose worker dies. */
  readonly retry?: RetryOptions
  /** Whether clients are proxies of ours, whose `X-Forwarded-*` and `X-Request-Id` are true. Default: these headers pass through */
  readonly trust?: Trust
  /** Milliseconds that `close()` gives running requests before it ends their connections. Default 10 000 */
  readonly grace?: number
  /** Options of the servers that `listen` makes: timeouts, header sizes. Default: Node's */
  readonly server?: ServerOptions
  /** Gets what `balance` throws: the request is refused, and nothing else. Default: prints it on stderr */
  readonly onError?: OnError
}

/** How often a request is tried. What certainly was not begun is always given to another worker. */
export interface RetryOptions {
  /** How often an idempotent request that may have been begun is given to another worker. 0 for never. Default 1 */
  readonly idempotent?: number
}

/** What a front is doing, and has done. */
export interface FrontStats extends Readonly<Counters> {
  /** Requests that are not answered, the waiting ones included. */
  readonly active: number
  /** Requests that wait for a worker. */
  readonly waiting: number
  /** The workers that take requests, and how many of them each has not answered. */
  readonly workers: readonly { readonly number: number; readonly pending: number }[]
}

/**
 * Creates a front, which hands each request to a worker that has called `serveHttp` or `serveFetch`. When the primary drains, so
 * does the front: nobody has to close it.
 *
 * @throws UnsupportedNodeError when this Node lacks something that the adapter needs
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
  readonly #desk: Desk
  readonly #trust: Trust
  readonly #grace: number
  readonly #serverOptions: ServerOptions
  readonly #servers = new Set<OwnServer>()
  #closing: Promise<void> | undefined

  constructor(primary: ClusterPeer, options: FrontOptions) {
    const { trust, grace = 10_000, server = {} } = options
    this.#desk = new Desk(primary.peer, options)
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
    const server = new OwnServer(this.#serverOptions, this.request)
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
    const { counters, active, room, peer } = this.#desk
    const workers = peer.directory.candidates(REQUEST).map(({ member }) => member)
    return {
      ...counters,
      active,
      waiting: room.size,
      workers: workers.map(({ number, pending }) => ({ number, pending })),
    }
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

  #request(req: IncomingMessage, res: ServerResponse): void {
    const desk = this.#desk
    desk.counters.requests++
    if (req.httpVersionMajor > 1) {
      desk.counters.refused++
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

/** What all requests of a front share. */
class Desk implements FrontDesk {
  readonly peer: Peer
  readonly balancer: Balancer
  readonly room: WaitingRoom
  readonly retries: number
  readonly onError: OnError
  readonly counters: Counters = { requests: 0, retried: 0, refused: 0, abandoned: 0, cut: 0 }
  closing = false
  active = 0
  #onIdle: (() => void) | undefined

  constructor(peer: Peer, options: FrontOptions) {
    const { balance = leastPending(), queue, retry, onError = printError } = options
    this.peer = peer
    this.balancer = balance
    this.onError = onError
    this.room = new WaitingRoom(peer.clock, queue)
    this.retries = retry?.idempotent ?? 1
    peer.directory.onChange(() => this.room.advance())
  }

  settled(): void {
    this.active--
    if (this.room.size > 0) this.room.advance()
    if (this.active === 0) this.#onIdle?.()
  }

  /** Lets `idle` resolve at once. */
  giveUp(): void {
    this.#onIdle?.()
  }

  /** Resolves when no request is left. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve
      if (this.active === 0) resolve()
    })
  }
}

function refuseUpgrade(socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  socket.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
}
