// One request in the worker: Node's own request and response for the app, the front's frames on the other side.
//
// The order of everything that the app can observe (events, flags, when the socket is taken back) is that of Node's http server:
// this file is what _http_server.js does around a request, with frames in place of a parser.

import { channel } from 'node:diagnostics_channel'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import {
  type CalleeEvents,
  dataBytes,
  type Frame,
  type IncomingExchange,
  type Peer,
  PIECE_BYTES,
} from '@clusterwire/core/peer'
import {
  completeRequest,
  connectionReset,
  createRequest,
  createResponse,
  dumpUnread,
  emitDrain,
  isDumped,
  isLast,
  releaseSocket,
} from '../node-internals.js'
import {
  decodeTrailers,
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
import type { SocketUser, VirtualSocket } from './virtual-socket.js'

const requestStarted = channel('http.server.request.start')
const responseFinished = channel('http.server.response.finish')

/** Where a request has come in. */
export interface Place {
  readonly socket: VirtualSocket
  readonly peer: Peer
}

/** A request that the app is answering. */
export class Serving implements CalleeEvents, SocketUser {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #exchange: IncomingExchange
  readonly #socket: VirtualSocket
  readonly #peer: Peer
  readonly #outbox: Outbox
  /** The app has been given the request. */
  #entered = false
  /** All of the request's body is here. */
  #received: boolean
  /** Credit for what came faster than the app reads: given back when it reads on. */
  #owed = 0
  #trailers: string[] | undefined
  /** All of the response has left the socket, and the socket has been taken back from it. */
  #finished = false

  constructor(exchange: IncomingExchange, head: ReceivedHead, { socket, peer }: Place) {
    const { flags } = head
    this.#exchange = exchange
    this.#socket = socket
    this.#peer = peer
    exchange.meta = metaOf(head.headers)
    this.#outbox = new Outbox(exchange)
    this.#received = !exchange.hasUpload
    exchange.events = this
    socket.user = this
    this.#req = createRequest(socket, head, (flags & RequestFlag.http10) !== 0)
    this.#res = createResponse(this.#req, {
      keepAlive: (flags & RequestFlag.keepAlive) !== 0,
      keepAliveTimeout: socket.keepAliveTimeout,
      awaitsContinue: (flags & RequestFlag.awaitsContinue) !== 0,
    })
    this.#res.on('prefinish', onPrefinish)
    this.#res.on('finish', onFinish)
  }

  /** Gives the request to the app, and then its body, if that came along. */
  run(flags: number, body: Buffer | undefined): void {
    if (isIdempotent(this.#req.method as string)) this.#enter(flags, body)
    // From here on it has begun, and another worker may run it only if that does no harm. The front has to know that even if this
    // process dies in the app's first line.
    else this.#exchange.started(() => this.#enter(flags, body))
  }

  #enter(flags: number, body: Buffer | undefined): void {
    const request = this.#req
    const response = this.#res
    const socket = this.#socket
    const { server } = socket
    this.#entered = true
    if (requestStarted.hasSubscribers) requestStarted.publish({ request, response, socket, server })
    try {
      const emission: Emission = {
        request,
        response,
        flags,
        server,
        peer: this.#peer,
        exchange: this.#exchange,
      }
      socket.context.runInAsyncScope(runFor<Emission>, undefined, emission, emitRequest)
    } catch (error) {
      // Under Node's server this is an uncaught exception. The link that brought the request has no part in it.
      queueMicrotask(() => {
        throw error
      })
    }
    if (body !== undefined) this.#push(body)
    if (this.#received) this.#complete()
  }

  // What the front tells.

  data(frame: Frame): void {
    this.#socket.touch()
    if (pieceOf(frame) === Piece.trailers)
      this.#trailers = decodeTrailers(frame.bytes, pieceStart(frame))
    else if (!this.#push(frame.keep(pieceStart(frame)))) {
      this.#owed += dataBytes(frame)
      return
    }
    this.#exchange.consumed(dataBytes(frame))
  }

  end(): void {
    this.#received = true
    if (!this.#entered) return // The app is still to get it; it will get all of it.
    this.#complete()
    if (this.#finished) this.#reply()
  }

  cancelled(): void {
    this.#socket.destroy()
  }

  drain(): void {
    this.#outbox.flush()
  }

  // What the socket tells.

  get scope(): RequestScope {
    const { signal, deadline } = this.#exchange
    return { signal, deadline }
  }

  put(chunk: Chunk, encoding: BufferEncoding): void {
    if (this.#res.headersSent) this.#socket.bytesWritten += this.#outbox.put(chunk, encoding)
    else this.#outbox.interim(chunk)
  }

  get waiting(): number {
    return this.#outbox.size
  }

  whenGone(done: Done): void {
    this.#outbox.whenGone(done)
  }

  prefinish(): void {
    // The response is complete: if it is small, this makes it one frame.
    if (this.#received && this.#outbox.size <= PIECE_BYTES) this.#reply()
    else this.#outbox.send()
  }

  finish(): void {
    const request = this.#req
    const response = this.#res
    const socket = this.#socket
    const { server } = socket
    if (responseFinished.hasSubscribers)
      responseFinished.publish({ request, response, socket, server })
    this.#finished = true
    dumpUnread(request)
    releaseSocket(response, socket)
    // An app that still reads the request is let finish, unless the connection ends here.
    if (this.#received || isDumped(request) || isLast(response)) this.#reply()
    else this.#outbox.flush()
  }

  drained(): void {
    emitDrain(this.#res)
  }

  resume(): void {
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.#exchange.consumed(owed)
  }

  ended(): void {
    if (!this.#exchange.over) this.#outbox.reply(ResponseFlag.last)
  }

  destroyed(): void {
    this.#outbox.fail()
    if (!this.#exchange.over) this.#outbox.reply(ResponseFlag.last)
  }

  closed(): void {
    if (!this.#finished || !this.#req.complete) this.#req.destroy(connectionReset('aborted'))
  }

  timedOut(): boolean {
    const socket = this.#socket
    const heard = [
      !this.#req.complete && this.#req.emit('timeout', socket),
      this.#res.emit('timeout', socket),
      socket.server.emit('timeout', socket),
    ]
    return heard.includes(true)
  }

  #push(chunk: Buffer): boolean {
    this.#socket.bytesRead += chunk.length
    if (isDumped(this.#req)) return true
    const { scopes } = this.#peer
    if (!scopes.active) return this.#req.push(chunk)
    // What listens to the body may make calls too.
    let hasRoom = true
    scopes.run(this.#exchange, () => {
      hasRoom = this.#req.push(chunk)
    })
    return hasRoom
  }

  #complete(): void {
    const { scopes } = this.#peer
    if (!scopes.active) completeRequest(this.#req, this.#trailers)
    else scopes.run(this.#exchange, () => completeRequest(this.#req, this.#trailers))
  }

  /** Ends the exchange, if that has not been done, and gives the socket back when the response has left it. */
  #reply(): void {
    const last = isLast(this.#res)
    const socket = this.#socket
    if (!this.#exchange.over) this.#outbox.reply(last ? ResponseFlag.last : 0)
    if (!this.#finished) return
    // What is dumped of a body on a connection that goes on is as good as read.
    if (!this.#req.complete && !last) completeRequest(this.#req)
    socket.user = undefined
    if (socket.timeout > 0) socket.setTimeout(0)
    if (last || socket.single) socket.destroySoon()
  }
}

interface Emission extends Handover {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly server: Server
  readonly flags: number
}

/** Tells the app's server of a request, by the event that Node would choose. */
function emitRequest({ request, response, server, flags }: Emission): void {
  const { awaitsContinue, expects } = RequestFlag
  if ((flags & (awaitsContinue | expects)) === 0) server.emit('request', request, response)
  else if ((flags & awaitsContinue) === 0) {
    if (!server.emit('checkExpectation', request, response)) response.writeHead(417).end()
  } else if (!server.emit('checkContinue', request, response)) {
    response.writeContinue()
    server.emit('request', request, response)
  }
}

function onPrefinish(this: ServerResponse): void {
  ;(this.socket as VirtualSocket | null)?.user?.prefinish()
}

function onFinish(this: ServerResponse): void {
  ;(this.socket as VirtualSocket | null)?.user?.finish()
}
