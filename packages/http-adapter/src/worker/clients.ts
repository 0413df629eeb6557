// The clients' connections that this worker has been told of, and the socket that the app sees for each.

import type { Server } from 'node:http'
import { type ClientFacts, type ReceivedHead, RequestFlag } from '../wire.js'
import { VirtualSocket } from './virtual-socket.js'

interface Client {
  readonly facts: ClientFacts
  socket: VirtualSocket
}

/** The connections, by the front's numbers. */
export class Clients {
  readonly #server: Server
  readonly #known = new Map<number, Client>()

  constructor(server: Server) {
    this.#server = server
  }

  /**
   * The socket that a request comes by: always the same one for a connection, unless the client pipelines. What one request does to
   * its socket must not befall another that happens to run at the same time, so that one gets a socket of its own.
   */
  socketFor({ flags, connection, client }: ReceivedHead): VirtualSocket {
    if ((flags & RequestFlag.single) !== 0 && client !== undefined)
      return this.#create(client, true)
    const known = this.#known.get(connection) ?? this.#learn(connection, client)
    if (known.socket.user !== undefined) return this.#create(known.facts, true)
    if (known.socket.destroyed) known.socket = this.#create(known.facts, false)
    return known.socket
  }

  /** The client has closed its connection, or the front has. */
  closed(connection: number): void {
    const client = this.#known.get(connection)
    this.#known.delete(connection)
    client?.socket.destroy()
  }

  #learn(connection: number, facts: ClientFacts | undefined): Client {
    if (facts === undefined) throw new Error(`Connection ${connection} was not introduced`)
    const client = { facts, socket: this.#create(facts, false) }
    this.#known.set(connection, client)
    return client
  }

  #create(client: ClientFacts, single: boolean): VirtualSocket {
    return new VirtualSocket({ server: this.#server, client }, single)
  }
}
