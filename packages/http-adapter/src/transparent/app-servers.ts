// The worker's side of transparent mode: where an app's server would listen, the primary does.
//
// Node itself hands every `listen` in a worker of node:cluster to one function, after it has understood its arguments and looked up
// the host. What that function gives back is the server's handle: so `listen` in all its forms, its callback, `address()` and `close()`
// stay Node's own, and only where connections come from is ours.

import cluster from 'node:cluster'
import { Server as HttpServer } from 'node:http'
import { type AddressInfo, Server } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { ClusterWorker } from '@clusterwire/core/cluster'
import { isClusterWorker, joinForApp } from '@clusterwire/core/cluster'
import { NoTransparentFrontError, UnsupportedNodeError } from '../errors.js'
import { serveHttp } from '../worker/http.js'
import { type Endpoint, type Entry, keyOf, type ListenFailure, listening } from './contract.js'
import { drainServer } from './drain-server.js'
import { FrontHandle } from './front-handle.js'
import { sayGoodbye } from './goodbye.js'
import { Readiness } from './readiness.js'
import { type Route, ServerHub } from './server-hub.js'
import { takesUpgrades, watchUpgrades } from './upgrade-listeners.js'

/** What Node asks node:cluster for. */
interface ListenQuery {
  /** An IP address, `null` for all; a path of a unix socket. */
  readonly address: string | null
  readonly port: number
  /** 4 or 6; anything else is no TCP. */
  readonly addressType: number | string
  readonly fd?: number | undefined
  /** `ipv6Only` and such. */
  readonly flags?: number | undefined
}

/** Gives the server its handle. */
type Listen = (errno: number, handle: FrontHandle | null) => void

interface ClusterInternals {
  _getServer(server: unknown, query: ListenQuery, listen: Listen): void
}

interface ServerInternals {
  _handle: FrontHandle | null
  /** Another one after each `listen` and `close`. */
  readonly _listeningId: number
}

/**
 * From now on, the http servers of this process listen through the primary. Does nothing in a process that is no worker.
 *
 * @throws UnsupportedNodeError
 */
export function listenThroughPrimary(): void {
  if (!cluster.isWorker) return
  const internals = cluster as unknown as ClusterInternals
  const getServer = internals._getServer
  if (typeof getServer !== 'function')
    throw new UnsupportedNodeError(`Node ${process.version} has no cluster._getServer`)
  const servers = new AppServers()
  internals._getServer = function (server, query, listen) {
    if (!isClusterWorker()) return getServer.call(this, server, query, listen)
    if (server instanceof HttpServer && isPlainTcp(query))
      return servers.listen(server, query, listen)
    if (server instanceof Server) servers.listenDirectly(server)
    getServer.call(this, server, query, listen)
  }
}

/** A route whose address may not be known yet. */
type ListeningRoute = Pick<Route, 'server'> & { address?: AddressInfo }

/** An app's servers. */
class AppServers {
  readonly #hub = new ServerHub((done) => this.#flush(done))
  readonly #readiness = new Readiness(joinForApp)
  /** The endpoints that are in use here. */
  readonly #taken = new Set<string>()
  /** Servers that listen by themselves. */
  readonly #direct = new Set<Server>()
  #worker: Promise<ClusterWorker> | undefined

  /** Lets a server listen through the primary. */
  listen(server: HttpServer, { address, port }: ListenQuery, listen: Listen): void {
    let index = 0
    if (port === 0) while (this.#taken.has(keyOf({ address, port, index }))) index++
    const endpoint = { address, port, index }
    const key = keyOf(endpoint)
    if (this.#taken.has(key)) {
      process.nextTick(() => server.emit('error', errorOf(addressInUse(endpoint))))
      return
    }
    this.#taken.add(key)
    /** Undefined before it has entered. */
    let stopWatching: (() => void) | undefined
    const leave = () => {
      this.#taken.delete(key)
      if (stopWatching === undefined) return
      stopWatching()
      void this.#leave(endpoint, route)
    }
    // Without a host, a server that is alone in its process listens as soon as `listen` returns, and some apps look at once.
    const isKnown = address === null && port !== 0
    const handle = new FrontHandle(
      isKnown ? { address: '::', family: 'IPv6', port } : undefined,
      leave,
    )
    const route: ListeningRoute = { server }
    const internals = server as unknown as ServerInternals
    const { _listeningId: listeningId } = internals
    if (isKnown) internals._handle = handle
    const settle = this.#readiness.begin()
    this.#bind(endpoint)
      .then(async (bound) => {
        if (handle.closed) return this.#tellLeft(endpoint)
        handle.address = bound
        route.address = bound
        this.#hub.add(route as Route)
        const enter = (upgrades: boolean) => this.#tellEntered({ ...endpoint, upgrades })
        stopWatching = watchUpgrades(server, (upgrades) => void enter(upgrades).catch(() => {}))
        await enter(takesUpgrades(server))
      })
      .then(
        () => {
          if (internals._handle === handle) internals._handle = null
          // When the server has been closed meanwhile, Node closes this at once.
          listen(0, handle)
          settle(!handle.closed)
        },
        (error: unknown) => {
          const closed = internals._listeningId !== listeningId
          if (internals._handle === handle) internals._handle = null
          this.#taken.delete(key)
          settle(false)
          if (!closed) process.nextTick(() => server.emit('error', error))
        },
      )
  }

  /** A server listens as node:cluster lets it: it closes when the worker is to finish. */
  listenDirectly(server: Server): void {
    const settle = this.#readiness.begin()
    this.#direct.add(server)
    server.once('listening', () => settle(true)).once('error', () => settle(false))
    server.once('close', () => {
      this.#direct.delete(server)
      settle(false)
    })
    this.#join().catch((error: unknown) => server.emit('error', error))
  }

  async #bind(endpoint: Endpoint): Promise<AddressInfo> {
    const worker = await this.#join()
    const { address, failure } = await worker
      .client(listening, { to: 'primary' })
      .bind(endpoint)
      .catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'UNIMPLEMENTED') throw error
        throw new NoTransparentFrontError(
          'The app can not listen through the primary, which has no transparentFront(): call it in startPrimary({ setup })',
        )
      })
    if (failure !== undefined) throw errorOf(failure)
    return address
  }

  async #leave(endpoint: Endpoint, route: ListeningRoute): Promise<void> {
    // Until the primary has heard of it, requests still come.
    const letGo = this.#hub.hold(route.server)
    await this.#tellLeft(endpoint).catch(() => {})
    // What has come is given to the app when the primary has certainly been told that it begins.
    await new Promise<void>((resolve) => this.#flush(resolve))
    this.#hub.delete(route as Route)
    letGo()
  }

  async #tellEntered(entry: Entry): Promise<void> {
    const worker = await this.#join()
    await worker.client(listening, { to: 'primary' }).enter(entry)
  }

  async #tellLeft(endpoint: Endpoint): Promise<void> {
    const worker = await this.#join()
    await worker.client(listening, { to: 'primary' }).leave(endpoint)
  }

  /** Calls `done` when everything that was sent has left the process. */
  #flush(done: () => void): void {
    this.#join().then((worker) => worker.peer.linkToEveryone().flush(done, true), done)
  }

  #join(): Promise<ClusterWorker> {
    this.#worker ??= this.#joinOnce()
    return this.#worker
  }

  async #joinOnce(): Promise<ClusterWorker> {
    // What the app does in this turn, it does first: it may join with options of its own.
    await turn()
    const worker = await joinForApp().worker
    serveHttp(worker, this.#hub)
    worker.onDrain(() => Promise.all([...this.#direct].map(drainServer)))
    sayGoodbye(worker)
    return worker
  }
}

/** Whether the primary can listen in the server's place: not on a unix socket, on a file descriptor, or for IPv6 only. */
function isPlainTcp({ addressType, fd, flags }: ListenQuery): boolean {
  return (addressType === 4 || addressType === 6) && !((fd ?? -1) >= 0) && !flags
}

function addressInUse({ address, port }: Endpoint): ListenFailure {
  const place = `${address ?? '::'}:${port}`
  return {
    message: `listen EADDRINUSE: address already in use ${place}`,
    ...{ code: 'EADDRINUSE', errno: -98, syscall: 'listen' },
    ...{ address: address ?? '::', port },
  }
}

/** Node's own error, made anew. */
function errorOf({ message, ...fields }: ListenFailure): Error {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.assign(new Error(message), Object.fromEntries(known))
}
