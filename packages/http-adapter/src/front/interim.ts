// How much of informational responses a client gets. No window of its own holds them back, and the client may read none of them.

/** More are dropped: nobody needs them. */
const MOST_BYTES = 64 * 1024

/** What one response has left for them. Made with the first: few have any. */
export class InterimAllowance {
  #bytes = 0

  /** Whether the client gets one more, of so many bytes. */
  admits(bytes: number): boolean {
    this.#bytes += bytes
    return this.#bytes <= MOST_BYTES
  }
}
