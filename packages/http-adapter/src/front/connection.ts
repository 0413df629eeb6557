// A client's connection, as the front keeps it: who is at its other end, which workers know it, and what runs on it. One listener per
// connection tells of its end, instead of one per request.

import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Member, Peer } from '@clusterwire/core/peer'
import type { RequestHeaders } from '../headers.js'
import { CLOSED, type ClientFacts, encodeNumber, RequestFlag } from '../wire.js'

/** What runs on a connection. */
export interface OnConnection {
  /** The client is gone. */
  abandon(): void
}

const connection: unique symbol = Symbol('clusterwire.connection')
/** What lives as long as a client's connection does. */
type Carrier = (Socket | ServerHttp2Session) & { [connection]?: ClientConnection }

/** Numbers are never used twice, by whichever front: workers know connections by them. */
let lastNumber = 0

/**
 * The connection that a request came by.
 *
 * @param keepAliveTimeout milliseconds that the server keeps it when it is idle
 */
export function connectionOf(
  peer: Peer,
  socket: Socket,
  keepAliveTimeout: number,
): ClientConnection {
  const carrier = socket as Carrier
  carrier[connection] ??= new ClientConnection(peer, { carrier, socket, keepAliveTimeout })
  return carrier[connection]
}

/** The connection of an HTTP/2 session, which is all that its streams know of it. */
export function connectionOfSession(peer: Peer, session: ServerHttp2Session): ClientConnection {
  const carrier = session as Carrier
  const socket = session.socket as Socket
  carrier[connection] ??= new ClientConnection(peer, { carrier, socket, keepAliveTimeout: 0 })
  return carrier[connection]
}

interface Origin {
  readonly carrier: Carrier
  readonly socket: Socket
  readonly keepAliveTimeout: number
}

/** A client's connection. */
export class ClientConnection implements ClientFacts {
  readonly number: number = ++lastNumber
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly authorized: boolean
  readonly alpnProtocol: string
  readonly servername: string
  readonly keepAliveTimeout: number
  readonly #peer: Peer
  /**
   * What runs on it: seldom more than one, since few clients pipeline. No Set: the tables that a Set outgrows point to their successors,
   * and so the dead ones of a long connection would keep every few requests alive until the next full collection.
   */
  readonly #requests: OnConnection[] = []
  /** What its requests' ids begin with: no other connection has it, of whatever front, in whatever run of the primary. */
  readonly #name: string
  #lastRequest = 0
  /** The workers that keep something about it. */
  readonly #knownTo = new Set<Member>()

  constructor(peer: Peer, { carrier, socket, keepAliveTimeout }: Origin) {
    const tls = socket as Partial<TLSSocket> & { readonly servername?: string | false }
    this.#peer = peer
    this.#name = `${peer.id.slice(0, 10)}-${this.number.toString(36)}`
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = socket.localAddress ?? ''
    this.localPort = socket.localPort ?? 0
    this.encrypted = tls.encrypted === true
    this.authorized = tls.authorized === true
    this.alpnProtocol = tls.alpnProtocol || ''
    this.servername = tls.servername || ''
    this.keepAliveTimeout = keepAliveTimeout
    // Both have the event; their types do not agree on its listeners.
    ;(carrier as EventEmitter).once('close', () => this.#closed())
  }

  add(request: OnConnection): void {
    this.#requests.push(request)
  }

  remove(request: OnConnection): void {
    const requests = this.#requests
    // Who pipelines may do so without end: the oldest goes first then, and must not be searched for behind all others.
    if (requests.at(-1) === request) requests.pop()
    else requests.splice(requests.indexOf(request), 1)
  }

  isKnownTo(member: Member): boolean {
    return this.#knownTo.has(member)
  }

  /** A worker has been told who the client is; it is to be told of the end too. */
  introducedTo(member: Member): void {
    for (const known of this.#knownTo) if (known.state === 'gone') this.#knownTo.delete(known)
    this.#knownTo.add(member)
  }

  /** A name for the next request on it. Not a decimal one: V8 caches the text of decimals, and every name would live on for a while. */
  nextRequestId(): string {
    return `${this.#name}.${(++this.#lastRequest).toString(36)}`
  }

  #closed(): void {
    // From the last on, which is the fastest to remove.
    for (const request of [...this.#requests].reverse()) request.abandon()
    for (const member of this.#knownTo) this.#tellClosed(member)
  }

  #tellClosed(member: Member): void {
    const served = member.procedures.get(CLOSED)
    if (served === undefined || member.state === 'gone' || this.#peer.closed) return
    try {
      this.#peer.open({
        member,
        ref: served.ref,
        procedure: CLOSED,
        encode: encodeNumber,
        input: this.number,
        timeout: CLOSED_TIMEOUT,
        upload: false,
        events: NOBODY,
      })
    } catch {
      // The worker does not read what it is sent. It keeps a socket that nobody uses: nothing that would make its trouble worse.
    }
  }
}

/** Where a request comes from, and what the app is to see of it. */
export interface Arrival extends RequestHeaders {
  readonly req: IncomingMessage
  readonly connection: ClientConnection
  /** `RequestFlag`s, those of the connection included. */
  readonly flags: number
}

/** Milliseconds. The answer means nothing; it only must not be waited for without end. */
const CLOSED_TIMEOUT = 60_000
const NOBODY = { reply() {}, error() {} }

/** What a connection says of each request on it: `RequestFlag`s. */
export function flagsOfConnection({ encrypted, authorized }: ClientFacts): number {
  return (encrypted ? RequestFlag.encrypted : 0) | (authorized ? RequestFlag.authorized : 0)
}
