// What Node's `net.Server` takes for its socket that listens, as node:cluster's own workers have one, too. With it `listening`,
// `address()` and `close()` are Node's own.

import type { AddressInfo } from 'node:net'

/** A server's handle, whose socket is the primary's. */
export class FrontHandle {
  /** Where the primary listens; before that is known, where it is going to. */
  address: AddressInfo | undefined
  #closed = false
  readonly #onClose: () => void

  /** @param onClose called once, when the server closes */
  constructor(address: AddressInfo | undefined, onClose: () => void) {
    this.address = address
    this.#onClose = onClose
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Called by Node, which is to hear that it worked. */
  listen(): number {
    return 0
  }

  getsockname(out: object): number {
    Object.assign(out, this.address)
    return 0
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClose()
  }

  // Whether this process goes on is for the cluster to say.
  ref(): void {}

  unref(): void {}
}
