// What the app takes for the client's socket while requests come by it. Bytes that Node's response writes here go to whoever uses the
// socket now; everything else that an app or its middleware does to a socket works, or does no harm.

import { Duplex } from 'node:stream'
import {
  type Chunk,
  ClientSocket,
  type Done,
  type RequestScope,
  type SocketUse,
} from './client-socket.js'

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

/** The client's socket, as the app sees it. It lives as long as the client's connection does. */
export class VirtualSocket extends ClientSocket {
  /** For one request only: its connection ends with it, or has another socket for its other requests. */
  readonly single: boolean
  /** Milliseconds that the front keeps the connection when it is idle. */
  readonly keepAliveTimeout: number
  /** Who uses it; nobody between two requests. */
  user: SocketUser | undefined
  /** `write` has returned `false`, and `drain` has not been emitted since. */
  #drainIsDue = false

  constructor(use: SocketUse, single: boolean) {
    super(use, {})
    this.single = single
    this.keepAliveTimeout = use.client.keepAliveTimeout
    // Node's server has this listener too, ahead of everyone else's: a request hears of its end before its response does.
    this.on('close', tellClosed)
  }

  get scope(): RequestScope | undefined {
    return this.user?.scope
  }

  /** A request reads through its socket: this is how it says that it wants more. How it says that it has enough is `push`. */
  override resume(): this {
    this.user?.resume()
    return this
  }

  override pause(): this {
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

  protected torn(): void {
    this.user?.destroyed()
  }

  protected override timedOut(): void {
    const heard = this.user?.timedOut() ?? false
    super.timedOut()
    if (!heard) this.destroy()
  }

  #drain(): void {
    this.#drainIsDue = false
    this.user?.drained()
    this.emit('drain')
  }
}

// An accessor can't override what Node's types call a property, though in Node it is an accessor too.
const { get: queued } = Object.getOwnPropertyDescriptor(Duplex.prototype, 'writableLength') ?? {}
Object.defineProperty(VirtualSocket.prototype, 'writableLength', {
  get(this: VirtualSocket): number {
    return (this.user?.waiting ?? 0) + queued?.call(this)
  },
})

function tellClosed(this: VirtualSocket): void {
  this.user?.closed()
}
