// What a front is told, and what it tells.

import type { ServerOptions } from 'node:http'
import type { Balancer } from '../balancer.js'
import type { OnError } from '../errors.js'
import type { Trust } from '../headers.js'
import type { QueueOptions } from '../waiting-room.js'
import type { Counters } from './forward.js'

/** How a front works. */
export interface FrontOptions {
  /** Who gets each request. Default `leastPending()` */
  readonly balance?: Balancer
  /** Where requests wait while no worker is ready. */
  readonly queue?: QueueOptions
  /** What happens to a request whose worker dies. */
  readonly retry?: RetryOptions
  /** Whether clients are proxies of ours, whose `X-Forwarded-*` and `X-Request-Id` are true. Default: these headers pass through */
  readonly trust?: Trust
  /** Milliseconds that `close()` gives running requests before it ends their connections. Default 10 000 */
  readonly grace?: number
  /** Options of the servers that `listen` makes: timeouts, header sizes. Default: Node's */
  readonly server?: ServerOptions
  /** Gets what `balance` throws: the request is refused, and nothing else. Default: prints it on stderr */
  readonly onError?: OnError
}

/** How often a request is tried. What certainly was not begun is always given to another worker. */
export interface RetryOptions {
  /** How often an idempotent request that may have been begun is given to another worker. 0 for never. Default 1 */
  readonly idempotent?: number
}

/** What a front is doing, and has done. */
export interface FrontStats extends Readonly<Counters> {
  /** Requests that are not answered, the waiting ones included, and connections that are upgraded. */
  readonly active: number
  /** Connections that are upgraded, or about to be. */
  readonly upgraded: number
  /** Requests that wait for a worker. */
  readonly waiting: number
  /** The workers that take requests, and how many of them each has not answered. */
  readonly workers: readonly { readonly number: number; readonly pending: number }[]
}
