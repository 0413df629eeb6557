// How a front is set up.

import type { IncomingMessage, ServerOptions } from 'node:http'
import type { Balancer } from '../balancer/balancer.js'
import type { OnError } from '../errors.js'
import type { Trust } from '../headers.js'
import type { QueueOptions } from '../waiting-room.js'
import type { DeadlineOptions, Timeout } from './deadline.js'
import type { Limits } from './limits.js'

/** How a front works. */
export interface FrontOptions extends Limits {
  /** Who gets each request. Default `leastPending()` */
  readonly balance?: Balancer
  /** Where requests wait while no worker is ready, or none is free. */
  readonly queue?: QueueOptions
  /**
   * Requests that each worker has at a time, from when it is given one to the end of the response: an event stream holds its place for as
   * long as it lasts, an upgraded connection until it is upgraded. Those beyond wait in the queue. Default: any number
   */
  readonly concurrency?: number
  /**
   * Milliseconds that a request may take, from its head to the end of its response, or a function that says so for each: give those
   * no limit that stream events. An upgraded connection has no limit. Default: no limit
   */
  readonly timeout?: Timeout
  /** Lets clients say how long they will wait. Default: they can't */
  readonly deadline?: DeadlineOptions
  /** Connections that are open at a time, on all ports that `listen` has opened; more are closed at once. Default: any number */
  readonly maxConnections?: number
  /** The path at which `health` answers, such as `/health`. Default: none */
  readonly health?: string
  /** The path at which `metrics` answers, such as `/metrics`. Default: none */
  readonly metrics?: string
  /** What happens to a request whose worker dies. */
  readonly retry?: RetryOptions
  /** Whether clients are proxies of ours, whose `X-Forwarded-*` and `X-Request-Id` are true. Default: these headers pass through */
  readonly trust?: Trust
  /** Milliseconds that `close()` gives running requests before it ends their connections. Default 10 000 */
  readonly grace?: number
  /** Options of the servers that `listen` makes: timeouts, header sizes. Default: Node's */
  readonly server?: ServerOptions
  /** Gets what the functions given here throw, and requests that are `poison` when nobody listens for those. Default: prints it on stderr */
  readonly onError?: OnError
}

/** How often a request is tried. What certainly was not begun is always given to another worker. */
export interface RetryOptions {
  /** How often an idempotent request that may have been begun is given to another worker. 0 for never. Default 1 */
  readonly idempotent?: number
  /**
   * Whether a request may run twice although its method is not idempotent: because of its route, or of an `Idempotency-Key`. It counts as
   * idempotent then. Asked when its worker has died, and only then. Default: none may
   */
  readonly repeatable?: (request: IncomingMessage) => boolean
}
