// What the app may ask of and do to a client's socket, whatever it is used for: who is at its other end, timeouts, and what a real one has
// and nobody needs here.

import { AsyncResource } from 'node:async_hooks'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Duplex, type DuplexOptions } from 'node:stream'
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

/** How a socket is used. */
export interface SocketUse {
  readonly server: Server
  readonly client: ClientFacts
}

/** A client's socket, as the app sees it. */
export abstract class ClientSocket extends Duplex {
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
  /** The async context that the app's listeners run in: one per connection, as under Node's server, so that none leaks to another. */
  readonly context: AsyncResource = new AsyncResource('HTTPINCOMINGMESSAGE')
  #timer: NodeJS.Timeout | undefined

  constructor({ server, client }: SocketUse, options: DuplexOptions) {
    super({ decodeStrings: false, emitClose: false, ...options })
    this.server = server
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
    // What goes wrong on a connection is no uncaught error.
    this.on('error', ignore)
  }

  /** What the app can ask about the request that has the socket now. */
  abstract get scope(): RequestScope | undefined

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
    this.#timer = ms > 0 ? setTimeout(() => this.timedOut(), ms).unref() : undefined
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

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#timer)
    this.torn()
    done(error)
    // As late as the closing of a real socket is told: much of Node's http code depends on what comes first.
    setImmediate(() => this.emit('close', error !== null))
  }

  /** It is being destroyed, by the app or because the client is gone. */
  protected abstract torn(): void

  /** Nothing has happened for as long as `setTimeout` said. */
  protected timedOut(): void {
    this.emit('timeout')
  }
}

function familyOf(address: string): string {
  return address.includes(':') ? 'IPv6' : 'IPv4'
}

function ignore(): void {}
