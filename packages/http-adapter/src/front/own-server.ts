// A server that the front makes for itself: it listens, and knows its connections, to close those that nobody uses.

import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { ListenError } from '../errors.js'

/** A server. Listens once. */
export class OwnServer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Settles when it listens, or can not. */
  #opening: Promise<AddressInfo> | undefined

  /** @param admits whether one more connection may be opened; one that may not is closed at once */
  constructor(options: ServerOptions, request: RequestListener, admits: () => boolean) {
    this.#server = createServer(options, request)
    // Without these Node would answer instead of the app.
    this.#server.on('checkContinue', request).on('checkExpectation', request)
    this.#server.on('connection', (socket: Socket) => {
      if (!admits()) return socket.destroy()
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size
  }

  /** @throws ListenError */
  listen(port: number, host?: string): Promise<AddressInfo> {
    this.#opening = new Promise((resolve, reject) => {
      // It stays: that a connection can't be accepted, for want of file descriptors say, is no reason to end the primary.
      this.#server.on('error', (cause) => reject(new ListenError(port, host, cause)))
      this.#server.listen({ port, ...(host !== undefined && { host }) }, () =>
        resolve(this.#server.address() as AddressInfo),
      )
    })
    return this.#opening
  }

  /** Stops listening, closes the connections that are not in use, and resolves when no other is left. */
  async close(): Promise<void> {
    // What is about to listen can't be stopped before it does.
    await this.#opening?.catch(() => {})
    const closed = new Promise((resolve) => this.#server.close(resolve))
    // Node has closed those that wait for another request, but not those that wait for their first. Two turns of the event loop: one
    // may have accepted a connection whose request is here already, the next reads it.
    await turn()
    await turn()
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
    await closed
  }

  /** Closes every connection, whatever is on it. */
  cut(): void {
    this.#server.closeAllConnections()
  }
}
