// The socket of a connection that is upgraded: a Duplex as Node makes them, with its own queue, corks and half-close.

import {
  type Chunk,
  ClientSocket,
  type Done,
  type RequestScope,
  type SocketUse,
} from './client-socket.js'

/** Takes what is written, and is asked for more to read. */
export interface Carrier {
  /** What the app can ask about the request that the connection began with. */
  readonly scope: RequestScope
  /** Takes bytes. `false`: enough of them wait. */
  put(chunk: Chunk, encoding: BufferEncoding): boolean
  /** Calls `done` when what was put so far has gone out. */
  whenGone(done: Done): void
  /** There is room for more of what the client sends. */
  resume(): void
  /** All that was written has gone out, and nothing follows. */
  ended(): void
  /** The socket is being destroyed. `reset`: as an error, to the client too. */
  destroyed(reset: boolean): void
}

interface WrittenChunk {
  readonly chunk: Chunk
  readonly encoding: BufferEncoding
}

/** A client's socket that one conversation has for itself. */
export class TunnelSocket extends ClientSocket {
  readonly #carrier: Carrier
  #reset = false

  constructor(use: SocketUse, carrier: Carrier) {
    super(use, { allowHalfOpen: true })
    this.#carrier = carrier
  }

  get scope(): RequestScope {
    return this.#carrier.scope
  }

  override resetAndDestroy(): this {
    this.#reset = true
    return this.destroy()
  }

  override _read(): void {
    this.#carrier.resume()
  }

  // What is put is as good as gone, as what the kernel has taken is: an app may write, destroy, and rely on what it has written.
  override _write(chunk: Chunk, encoding: BufferEncoding, done: Done): void {
    this.touch()
    if (this.#carrier.put(chunk, encoding)) done()
    else this.#carrier.whenGone(done)
  }

  override _writev(chunks: WrittenChunk[], done: Done): void {
    this.touch()
    let hasRoom = true
    for (const { chunk, encoding } of chunks) hasRoom = this.#carrier.put(chunk, encoding)
    if (hasRoom) done()
    else this.#carrier.whenGone(done)
  }

  override _final(done: Done): void {
    this.#carrier.whenGone((error) => {
      if (!error) this.#carrier.ended()
      done(error)
    })
  }

  protected torn(): void {
    this.#carrier.destroyed(this.#reset)
  }
}
