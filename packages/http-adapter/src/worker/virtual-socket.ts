// What the app takes for the client's socket. Bytes that Node's response writes here go to whoever uses the socket now; everything
// else that an app or its middleware does to a socket works, or does no harm.

import { AsyncResource } from 'node:async_hooks'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import type { ClientFacts } from '../wire.js'

/** A piece of what is written, as Node's writable hands it on. */
export type Chunk = string | Uint8Array

/** Says that more may be written. */
export type Done = (error?: Error | null) => void

/** What an app can ask about a request. */
export interface RequestScope {
  /** Aborts when the client is gone, or the request's time is up. */
  readonly signal: AbortSignal
  /** When its time is up: milliseconds on this process's own `performance.now()` clock; `Infinity` when it has all the time it wants. */
  readonly deadline: number
}

/** The request that has the socket now. */
export interface SocketUser {
  /** Bytes that wait for the client to take them. */
  readonly waiting: number
  /** What the app can ask about it. */
  readonly scope: RequestScope
  /** Takes bytes for the client. */
  put(chunk: Chunk, encoding: BufferEncoding): void
  /** Calls `done` when what was put so far has gone out, at the end of this turn or later. */
  whenGone(done: Done): void
  /** Node has handed all of the response to the socket. */
  prefinish(): void
  /** All of the response has gone out. */
  finish(): void
  /** Room that `write` missed is there. */
  drained(): void
  /** The app wants more of the request's body. */
  resume(): void
  /** The app has ended the socket: nothing comes behind what was put. */
  ended(): void
  /** The socket is being destroyed, by the app or because the client is gone. */
  destroyed(): void
  /** The socket is closed. */
  closed(): void
  /** Nothing has happened for as long as `setTimeout` said. Returns whether anybody listens to that. */
  timedOut(): boolean
}

/** How a socket is used. */
export interface SocketUse {
  readonly server: Server
  readonly client: ClientFacts
  /** For one request only: its connection ends with it, or has another socket for its other requests. */
  readonly single: boolean
}

/** The client's socket, as the app sees it. It lives as long as the client's connection does. */
export class VirtualSocket extends Duplex {
  readonly server: Server
  readonly remoteAddress: string
  readonly remotePort: number
  readonly remoteFamily: string
  readonly localAddress: string
  readonly localPort: number
  readonly localFamily: string
  // These four are there on encrypted connections only, as on Node's own.
  declare readonly encrypted?: true
  declare readonly authorized?: boolean
  declare readonly alpnProtocol?: string | false
  declare readonly servername?: string | false
  readonly connecting = false
  readonly pending = false
  timeout = 0
  bytesRead = 0
  bytesWritten = 0
  readonly single: boolean
  /** Milliseconds that the front keeps the connection when it is idle. */
  readonly keepAliveTimeout: number
  /** Who uses it; nobody between two requests. */
  user: SocketUser | undefined
  /** The async context that the app's listeners run in: one per connection, as under Node's server, so that none leaks to another. */
  readonly context: AsyncResource = new AsyncResource('HTTPINCOMINGMESSAGE')
  #timer: NodeJS.Timeout | undefined
  /** `write` has returned `false`, and `drain` has not been emitted since. */
  #drainIsDue = false

  constructor({ server, client, single }: SocketUse) {
    super({ decodeStrings: false, emitClose: false })
    this.server = server
    this.single = single
    this.keepAliveTimeout = client.keepAliveTimeout
    this.remoteAddress = client.remoteAddress
    this.remotePort = client.remotePort
    this.remoteFamily = familyOf(client.remoteAddress)
    this.localAddress = client.localAddress
    this.localPort = client.localPort
    this.localFamily = familyOf(client.localAddress)
    if (client.encrypted)
      Object.assign(this, {
        encrypted: true,
        authorized: client.authorized,
        alpnProtocol: client.alpnProtocol || false,
        servername: client.servername || false,
      })
    // Node's server has these listeners too, ahead of everyone else's: what goes wrong on a connection is no uncaught error, and a
    // request hears of its end before its response does.
    this.on('error', ignore)
    this.on('close', tellClosed)
  }

  get readyState(): string {
    if (this.destroyed) return 'closed'
    return this.writable ? 'open' : 'readOnly'
  }

  address(): AddressInfo {
    return { address: this.localAddress, port: this.localPort, family: this.localFamily }
  }

  /** Emits `timeout` when nothing has been written or read for `ms` milliseconds; 0 for never. */
  setTimeout(ms: number, listener?: () => void): this {
    clearTimeout(this.#timer)
    this.#timer = ms > 0 ? setTimeout(() => this.#timedOut(), ms).unref() : undefined
    this.timeout = ms
    if (listener !== undefined && ms > 0) this.once('timeout', listener)
    else if (listener !== undefined) this.removeListener('timeout', listener)
    return this
  }

  /** Something has happened: the timeout starts again. */
  touch(): void {
    this.#timer?.refresh()
  }

  /** Ends it, and destroys it when all that was written has gone out. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  resetAndDestroy(): this {
    return this.destroy()
  }

  /** A request reads through its socket: this is how it says that it wants more. How it says that it has enough is `push`. */
  override resume(): this {
    this.user?.resume()
    return this
  }

  override pause(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  /**
   * Hands bytes to the user at once. The queue and the corks that a Writable has are of no use here: the user sends what is written in
   * one turn together anyway. Returns `false` when too much waits; `drain` tells when it has gone.
   */
  override write(chunk: Chunk, encoding?: BufferEncoding | Done | null, done?: Done): boolean {
    const { user } = this
    if (user === undefined || !this.writable)
      return super.write(chunk, encoding as BufferEncoding, done)
    this.touch()
    user.put(chunk, (typeof encoding === 'string' && encoding) || 'utf8')
    const callback = typeof encoding === 'function' ? encoding : done
    if (callback) user.whenGone(callback)
    if (user.waiting < this.writableHighWaterMark) return true
    if (!this.#drainIsDue) user.whenGone(() => this.#drain())
    this.#drainIsDue = true
    return false
  }

  // What still goes through the Writable: the chunk that `end` is given, and what nobody takes.
  override _write(chunk: Chunk, encoding: BufferEncoding, done: Done): void {
    this.user?.put(chunk, encoding)
    done()
  }

  override _read(): void {}

  override _final(done: Done): void {
    const finish = () => {
      this.user?.ended()
      done()
      this.destroySoon()
    }
    if (this.user === undefined) finish()
    else this.user.whenGone(finish)
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#timer)
    this.user?.destroyed()
    done(error)
    // As late as the closing of a real socket is told: much of Node's http code depends on what comes first.
    setImmediate(() => this.emit('close', error !== null))
  }

  #drain(): void {
    this.#drainIsDue = false
    this.user?.drained()
    this.emit('drain')
  }

  #timedOut(): void {
    const heard = this.user?.timedOut() ?? false
    this.emit('timeout')
    if (!heard) this.destroy()
  }
}

// An accessor can't override what Node's types call a property, though in Node it is an accessor too.
const { get: queued } = Object.getOwnPropertyDescriptor(Duplex.prototype, 'writableLength') ?? {}
Object.defineProperty(VirtualSocket.prototype, 'writableLength', {
  get(this: VirtualSocket): number {
    return (this.user?.waiting ?? 0) + queued?.call(this)
  },
})

function familyOf(address: string): string {
  return address.includes(':') ? 'IPv6' : 'IPv4'
}

function ignore(): void {}

function tellClosed(this: VirtualSocket): void {
  this.user?.closed()
}
