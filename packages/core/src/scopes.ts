// Which request the running code is handling: what a handler calls inherits its deadline, its cancellation and its metadata.
//
// On Node 20 and 22, running handlers so that this is known costs a fifth of their throughput (docs/performance.md). So it begins with a peer's
// first client: before that, no handler can make any call. From Node 24 on it costs next to nothing, and is always so.

import type { IncomingExchange } from './incoming.js'

/** Keeps a value for all that follows from a piece of code (an AsyncLocalStorage is one). */
export interface ScopeStore {
  run<T>(scope: IncomingExchange | undefined, code: () => T): T
  /** From here on, and in what follows from it; `undefined` leaves the scope. */
  enterWith(scope: IncomingExchange | undefined): void
  /** Costs nothing from here on, until it is used again. */
  disable(): void
  getStore(): IncomingExchange | undefined
}

/** The scopes of one peer. */
export class Scopes {
  readonly #store: ScopeStore | undefined
  #active: boolean
  /** The request whose handler is being entered, while scopes are not in use. */
  #entering: IncomingExchange | undefined

  /** @param store without one, nothing is ever inherited. @param isCheap whether it may always be used */
  constructor(store: ScopeStore | undefined, isCheap: boolean) {
    this.#store = store
    this.#active = isCheap && store !== undefined
  }

  /** The request that the running code is handling. */
  get current(): IncomingExchange | undefined {
    return this.#active ? this.#store?.getStore() : undefined
  }

  /** Whether handlers are to be run by `run`. */
  get active(): boolean {
    return this.#active
  }

  /** From now on they are: a client is being made. The handler that makes it, if one does before it first waits, is in its scope at once. */
  activate(): void {
    if (this.#active || this.#store === undefined) return
    this.#active = true
    if (this.#entering !== undefined) this.#store.enterWith(this.#entering)
  }

  /** Runs a handler in its scope; or anything outside of all scopes. */
  run(scope: IncomingExchange | undefined, code: () => void): void {
    if (this.#active) this.#store?.run(scope, code)
    else code()
  }

  /** While scopes are not in use: a handler is entered. Returns what `left` is to be told. */
  entered(exchange: IncomingExchange): IncomingExchange | undefined {
    const outer = this.#entering
    this.#entering = exchange
    return outer
  }

  /** It has got to where it first waits, or to its end. */
  left(outer: IncomingExchange | undefined): void {
    this.#entering = outer
    if (this.#active) this.#store?.enterWith(outer)
  }

  close(): void {
    // On Node 20, each one that is left costs every promise of the process something.
    this.#store?.disable()
  }
}
