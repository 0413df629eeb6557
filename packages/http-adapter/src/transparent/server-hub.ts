// The one server that the worker serves, standing for all that its app listens with: an event of a request goes to the app's server that
// listens on the port (and the address) that the request's client has connected to.

import { type IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { takesUpgrades, watchUpgrades } from './upgrade-listeners.js'

/** One of the app's servers, and where it listens. */
export interface Route {
  readonly server: Server
  readonly address: AddressInfo
}

/** What Node's `net.Server` counts, and closes by. */
type Counted = Server & {
  _connections: number
  _emitCloseIfDrained(): void
}

/** The events that are about a request: their first argument is the request, their second the response or the socket. */
const EVENTS: ReadonlySet<string | symbol> = new Set([
  ...['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect'],
])

/** All of an app's servers. */
export class ServerHub extends Server {
  /** In the order in which they began to listen. */
  readonly #routes = new Set<Route>()
  /** Those that have been routed to before. */
  readonly #known = new WeakSet<Server>()
  readonly #flush: (done: () => void) => void

  /** @param flush calls `done` when everything that was sent has left the process */
  constructor(flush: (done: () => void) => void) {
    super()
    this.#flush = flush
  }

  add(route: Route): void {
    this.#routes.add(route)
    if (this.#known.has(route.server)) return
    this.#known.add(route.server)
    this.#holdWhileAnswering(route.server)
    if (takesUpgrades(route.server)) this.#takeUpgrades()
    watchUpgrades(route.server, () => this.#takeUpgrades())
  }

  delete(route: Route): void {
    this.#routes.delete(route)
  }

  // biome-ignore lint/suspicious/noExplicitAny: an event's arguments are whatever the event has.
  override emit(event: string | symbol, ...args: any[]): boolean {
    if (!EVENTS.has(event)) return super.emit(event as string, ...args)
    const [request, answer] = args as [IncomingMessage, ServerResponse | Duplex]
    const server = this.#serverOf(request)
    // It closed, and the primary gave it this before it heard of that.
    if (server === undefined) return unserved(answer)
    // What else comes by this socket goes there without a detour.
    Object.assign(request.socket, { server })
    return server.emit(event as string, ...args)
  }

  /**
   * Keeps a server from being closed, as a connection of its own would: Node's `close` waits for connections, and many an app ends its
   * process when it is done.
   *
   * @returns what ends that, when what was sent before has left the process
   */
  hold(server: Server): () => void {
    const counted = server as Counted
    counted._connections++
    return () => {
      if (server.listening) counted._connections--
      else
        this.#flush(() => {
          counted._connections--
          counted._emitCloseIfDrained()
        })
    }
  }

  /**
   * Requests stand for the connections, which are the primary's. A listener would not do: that anybody listens to `checkContinue`, or does
   * not, makes a difference.
   */
  #holdWhileAnswering(server: Server): void {
    const { emit } = server
    server.emit = (event: string | symbol, ...args: unknown[]) => {
      // One that comes when it has closed keeps nothing open any more.
      if (EVENTS.has(event) && (server.listening || (server as Counted)._connections > 0))
        (args[1] as ServerResponse | Duplex).once('close', this.hold(server))
      return Reflect.apply(emit, server, [event, ...args])
    }
  }

  #serverOf({ socket }: IncomingMessage): Server | undefined {
    const { localPort, localAddress = '' } = socket
    const plain = localAddress.replace(/^::ffff:/, '')
    let found: Server | undefined
    for (const { server, address } of this.#routes) {
      if (address.port !== localPort) continue
      if (address.address === plain || address.address === localAddress) return server
      found ??= server
    }
    return found
  }

  /** Whoever serves this server looks whether anybody listens to upgrades here. On which ports they may come, the primary is told. */
  #takeUpgrades(): void {
    if (!takesUpgrades(this)) this.on('upgrade', () => {})
  }
}

/** Answers what nobody is there for. */
function unserved(answer: ServerResponse | Duplex): true {
  if (answer instanceof ServerResponse) answer.writeHead(503, { 'retry-after': '1' }).end()
  else answer.destroy()
  return true
}
