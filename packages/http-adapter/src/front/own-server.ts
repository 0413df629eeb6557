// A server that the front makes for itself: it listens, and knows its connections, to close those that nobody uses.

import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { ListenError } from '../errors.js'
import type { UpgradeListener } from '../upgrade.js'
import { resetSocket } from './relay.js'

/** Who answers. */
export interface Listeners {
  readonly request: RequestListener
  readonly upgrade: UpgradeListener
  /** Whether one more connection may be opened; one that may not is closed at once. */
  readonly admits: () => boolean
}

/** A server. Listens once. */
export class OwnServer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #upgrade: UpgradeListener
  /** Settles when it listens, or can not. */
  #opening: Promise<AddressInfo> | undefined

  constructor(options: ServerOptions, { request, upgrade, admits }: Listeners) {
    this.#server = createServer(options, request)
    this.#upgrade = upgrade
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

  /** Whether what asks for an upgrade goes to `upgrade`. Node takes it for an ordinary request, body and all, while nobody listens. */
  set upgrades(on: boolean) {
    this.#server.removeListener('upgrade', this.#upgrade)
    if (on) this.#server.on('upgrade', this.#upgrade)
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
    const server = this.#server
    // Node's `close` ends idle connections there and then, since version 26 also those that wait for their first request: although the
    // next request may be here, not read yet. Two turns of the event loop: one may have accepted a connection, the next reads it.
    const closeIdleConnections = server.closeIdleConnections
    server.closeIdleConnections = () => {}
    const closed = new Promise((resolve) => server.close(resolve))
    await turn()
    await turn()
    closeIdleConnections.call(server)
    // Before version 26 Node leaves those open that wait for their first request.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
    await closed
  }

  /** Closes every connection, whatever is on it, so that nobody can take that for complete. */
  cut(): void {
    // Node's own closeAllConnections() knows nothing of those that were upgraded.
    for (const socket of this.#sockets) resetSocket(socket)
  }
}
