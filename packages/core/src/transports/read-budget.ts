// How much one socket may say before the others have their turn.

/** Node alone goes on for 2 MiB as long as there is more, and every other link waits: 50 000 small frames, a tenth of a second. */
const BUDGET_BYTES = 256 * 1024

/** Bytes in shared memory count so much less: they take so much less time. */
const BESIDES_DISCOUNT = 4

/** What one socket may say in one turn of the event loop. */
export class ReadBudget {
  /** Bytes of full reads, one right after the other. */
  #taken = 0
  /** Bytes in shared memory that the last read told of. */
  #besides = 0

  /** What is being read tells of so many bytes in shared memory. */
  besides(bytes: number): void {
    this.#besides += bytes
  }

  /**
   * A read has brought so many bytes, of `room` at most. Returns whether that is enough for this turn. One that is not full has taken all there
   * was: it is the turn's last anyway.
   */
  spend(bytes: number, room: number): boolean {
    const besides = this.#besides / BESIDES_DISCOUNT
    this.#besides = 0
    if (bytes < room && besides < BUDGET_BYTES) {
      this.#taken = 0
      return false
    }
    this.#taken += bytes + besides
    if (this.#taken < BUDGET_BYTES) return false
    this.#taken = 0
    return true
  }
}
