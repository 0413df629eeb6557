// Serving with middleware: what it adds to the context is known to the handlers' types.

import type { Contract } from './contract.js'
import { serve } from './handlers.js'
import type { Handlers } from './infer.js'
import type { Middleware } from './middleware.js'
import type { Peer } from './peer.js'

/** Serves contracts behind middleware. Made by `peer.use()`. */
export class Service<Given extends object> {
  readonly #peer: Peer
  readonly #middleware: readonly Middleware[]

  constructor(peer: Peer, middleware: readonly Middleware[]) {
    this.#peer = peer
    this.#middleware = middleware
  }

  /** Adds middleware that runs inside what is there already. */
  use<Added extends object>(middleware: Middleware<Given, Added>): Service<Given & Added> {
    return new Service(this.#peer, [...this.#middleware, middleware as unknown as Middleware])
  }

  /** Answers a contract's procedures, each behind the middleware. */
  serve<C extends Contract>(contract: C, handlers: Handlers<C, Given>): void {
    serve(this.#peer, contract, {
      handlers: handlers as Readonly<Record<string, unknown>>,
      middleware: this.#middleware,
    })
  }
}
