// One upgraded connection in the worker: the app's socket on one side, the front's frames on the other.

import type { IncomingMessage, Server } from 'node:http'
import {
  type CalleeEvents,
  dataBytes,
  type Frame,
  type IncomingExchange,
  type Peer,
  PIECE_BYTES,
} from '@clusterwire/core/peer'
import { completeRequest, connectionReset, createRequest, readBodyFrom } from '../node-internals.js'
import {
  decodeTrailers,
  encodePieceType,
  isIdempotent,
  Piece,
  pieceOf,
  pieceStart,
  type ReceivedHead,
  RequestFlag,
  ResponseFlag,
} from '../wire.js'
import type { Chunk, Done, RequestScope } from './client-socket.js'
import { Outbox } from './outbox.js'
import { type Handover, metaOf, runFor } from './scope.js'
import { type Carrier, TunnelSocket } from './tunnel-socket.js'
import { GOING_AWAY, WebSocketFrames } from './websocket-frames.js'

/** Milliseconds that a client has to answer a goodbye. */
const FAREWELL = 1_000

/** What connections need of those who keep them. */
export interface TunnelHost {
  readonly server: Server
  readonly peer: Peer
  /** Those that are open. */
  readonly open: Set<Tunnel>
  /** Milliseconds that one is left alone when it is to end: not the same for each, so that their clients do not all come back at once. */
  grace(): number
}

/** A connection that the app has been given. */
export class Tunnel implements CalleeEvents, Carrier {
  readonly #host: TunnelHost
  readonly #exchange: IncomingExchange
  readonly #socket: TunnelSocket
  readonly #req: IncomingMessage
  readonly #outbox: Outbox
  /** Credit for what came faster than the app reads: given back when it reads on. */
  #owed = 0
  /** More of the request's body is to come; what the connection brings follows it. */
  #bodyIsDue: boolean
  /** The client has ended its side. */
  #received = false
  /** The app has ended its own: the front is to be told as soon as there is credit for it; and it has been told. */
  #endIsDue = false
  #ended = false
  /** What the app writes, when that is a WebSocket. */
  readonly #frames: WebSocketFrames | undefined
  /** `due`: to be said as soon as the app is between two frames. `said`: what the app still writes goes nowhere. */
  #goodbye: 'none' | 'due' | 'said' = 'none'
  #stopTimer: (() => void) | undefined

  constructor(host: TunnelHost, exchange: IncomingExchange, head: ReceivedHead) {
    const { server } = host
    const { client, flags } = head
    if (client === undefined) throw new Error('An upgrade came without its client')
    this.#host = host
    this.#exchange = exchange
    this.#outbox = new Outbox(exchange)
    this.#socket = new TunnelSocket({ server, client }, this)
    this.#req = createRequest(this.#socket, head, (flags & RequestFlag.http10) !== 0)
    Object.assign(this.#req, { upgrade: true })
    this.#bodyIsDue = (flags & RequestFlag.body) !== 0
    if (this.#bodyIsDue) readBodyFrom(this.#req, () => this.#giveCredit())
    else completeRequest(this.#req)
    if (/^websocket$/i.test(this.#req.headers.upgrade ?? '')) this.#frames = new WebSocketFrames()
    exchange.meta = metaOf(head.headers)
    exchange.events = this
    host.open.add(this)
  }

  /** Gives the connection to the app. */
  run(): void {
    if (isIdempotent(this.#req.method as string)) this.#enter()
    else this.#exchange.started(() => this.#enter())
  }

  /** It is to end: the app has had the time to see to that itself. */
  goodbye(): void {
    if (this.#goodbye !== 'none') return
    this.#goodbye = 'due'
    if (this.#frames === undefined) this.#socket.end()
    else this.#sayGoodbye()
    this.#stopTimer?.()
    this.#stopTimer = this.#host.peer.clock.after(FAREWELL, () => this.#socket.destroy())
  }

  /** Will be told goodbye in so many milliseconds. */
  goodbyeIn(ms: number): void {
    this.#stopTimer ??= this.#host.peer.clock.after(ms, () => this.goodbye())
  }

  // What the front tells.

  data(frame: Frame): void {
    const type = pieceOf(frame)
    if (type === Piece.goodbye) {
      this.#exchange.consumed(dataBytes(frame))
      return this.goodbyeIn(this.#host.grace())
    }
    this.#socket.touch()
    const start = pieceStart(frame)
    if (type === Piece.trailers) {
      this.#exchange.consumed(dataBytes(frame))
      return this.#completeBody(decodeTrailers(frame.bytes, start))
    }
    this.#socket.bytesRead += frame.end - start
    const reader = this.#bodyIsDue ? this.#req : this.#socket
    if (reader.push(frame.keep(start))) this.#exchange.consumed(dataBytes(frame))
    else this.#owed += dataBytes(frame)
  }

  end(): void {
    this.#received = true
    this.#socket.push(null)
    // As Node's own sockets do: who has nothing more to read hears of the end without asking.
    this.#socket.read(0)
    this.#finish()
  }

  cancelled(): void {
    this.#socket.destroy(connectionReset('read ECONNRESET'))
  }

  drain(): void {
    this.#outbox.flush()
    this.#sendEnd()
  }

  // What the socket tells and asks.

  get scope(): RequestScope {
    const { signal, deadline } = this.#exchange
    return { signal, deadline }
  }

  put(chunk: Chunk, encoding: BufferEncoding): boolean {
    if (this.#goodbye === 'said') return true
    this.#socket.bytesWritten += this.#outbox.put(chunk, encoding)
    this.#frames?.take(chunk, encoding)
    if (this.#goodbye === 'due') this.#sayGoodbye()
    return this.#outbox.size < PIECE_BYTES
  }

  whenGone(done: Done): void {
    this.#outbox.whenGone(done)
  }

  resume(): void {
    // As under Node: an app that reads the connection need not read the body ahead of it.
    if (this.#bodyIsDue) this.#req.resume()
    else this.#giveCredit()
  }

  ended(): void {
    this.#endIsDue = true
    this.#sendEnd()
  }

  destroyed(reset: boolean): void {
    this.#stopTimer?.()
    this.#host.open.delete(this)
    // What was written before has left a real socket by now.
    if (!reset) this.#outbox.send()
    this.#outbox.fail()
    this.#reply(reset ? ResponseFlag.reset : 0)
  }

  #enter(): void {
    const { server, peer } = this.#host
    const upgrade: Upgrade = {
      server,
      peer,
      exchange: this.#exchange,
      req: this.#req,
      socket: this.#socket,
    }
    try {
      this.#socket.context.runInAsyncScope(runFor<Upgrade>, undefined, upgrade, emitUpgrade)
    } catch (error) {
      // Under Node's server this is an uncaught exception. The link that brought the request has no part in it.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #completeBody(trailers: string[]): void {
    this.#bodyIsDue = false
    completeRequest(this.#req, trailers)
    // Nobody asks a complete body for more, and the connection is to go on whether or not the app has read it.
    this.#giveCredit()
  }

  #giveCredit(): void {
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.#exchange.consumed(owed)
  }

  #sayGoodbye(): void {
    if (!this.#frames?.between) return
    this.#outbox.put(GOING_AWAY, 'latin1')
    this.#goodbye = 'said'
  }

  #sendEnd(): void {
    if (!this.#endIsDue || !this.#exchange.writable) return
    this.#endIsDue = false
    this.#ended = true
    this.#exchange.write(encodePieceType, Piece.end)
    this.#finish()
  }

  /** When both sides have ended, the connection is done with, whether or not the app has read all of it. */
  #finish(): void {
    if (this.#received && this.#ended) this.#reply(0)
  }

  #reply(flags: number): void {
    if (!this.#exchange.over) this.#outbox.reply(flags)
  }
}

interface Upgrade extends Handover {
  readonly server: Server
  readonly req: IncomingMessage
  readonly socket: TunnelSocket
}

/** Tells the app's server of an upgrade. */
function emitUpgrade({ server, req, socket }: Upgrade): void {
  // Whoever listened does no more.
  if (!server.emit('upgrade', req, socket, NO_HEAD)) socket.destroy()
}

/** What came behind the request comes as all the rest does. */
const NO_HEAD = Buffer.alloc(0)
