// The HTTP/2 sessions that requests have come by, and how they are brought to their end: the front's own servers speak HTTP/1, so these
// belong to a server that is not closed here.

import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { ResetCode } from './reset-code.js'

/** Sessions that are open. */
export class Sessions {
  /** Each with its connection, which goes last. */
  readonly #open = new Map<ServerHttp2Session, Socket>()
  #closing = false
  #onEmpty: (() => void) | undefined

  /** A request has come by it. */
  add(session: ServerHttp2Session): void {
    if (this.#open.has(session)) return
    // Nobody may destroy what a session gives out as its socket. This returns the one behind it.
    const socket = session.socket.once('close', () => {
      this.#open.delete(session)
      if (this.#open.size === 0) this.#onEmpty?.()
    })
    this.#open.set(session, socket as Socket)
    if (this.#closing) void goAway(session)
  }

  /** Tells all clients to open no more streams, lets those finish that are open, and resolves when no session is left. */
  close(): Promise<void> {
    this.#closing = true
    for (const session of this.#open.keys()) void goAway(session)
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      if (this.#open.size === 0) resolve()
    })
  }

  /** Ends every session, whatever is on it and whether or not its client listens. */
  async cut(): Promise<void> {
    // With an error, or its streams would look complete.
    for (const session of this.#open.keys())
      session.destroy(new Error('The front is closed'), ResetCode.internalError)
    await readAndWrite()
    for (const socket of this.#open.values()) socket.destroy()
  }
}

/** Sends GOAWAY. What comes later than that is certainly not begun, and its client knows so. */
async function goAway(session: ServerHttp2Session): Promise<void> {
  // What is here is answered.
  await readAndWrite()
  if (!session.closed && !session.destroyed) session.close()
}

/** Two turns of the event loop: for the bytes, and for what TLS makes of them. */
async function readAndWrite(): Promise<void> {
  await turn()
  await turn()
}
