// What a worker has begun of the primary's requests, in two words of memory that its main thread shares with its watchdog: so that what
// the main thread has not begun can be taken back while it is blocked, and is then never run there. The watchdog's side is in
// watchdog-thread.ts.
//
//    words[0]   the last request that was begun, with the bit SHUT when the watchdog has taken back those behind it
//    words[1]   the last that was taken back, or OPENING
//
// Only the main thread moves the first word on, and only the watchdog shuts it, each by a compare-and-exchange: of a request that one
// begins while the other takes it back, exactly one gets hold. What comes behind the last that was taken back opens it again. Until then
// the watchdog may take back more, which moves the second word on, and who opens takes hold of that word first, for the same reason.

import { OPENING, RECALL_BITS } from './watchdog-thread.js'

/** Ids count up without end. Any two that one worker has at a time are less than half of what these bits count apart. */
const MASK = 2 ** RECALL_BITS - 1
const HALF = MASK >>> 1

/** What was taken back of a worker: the requests behind `begun` up to `upTo`, both as the lower bits of their ids. */
export interface Recalled {
  readonly begun: number
  readonly upTo: number
}

/** The lower bits of an id. */
export function recallBits(id: number): number {
  // Ids grow beyond what bit operators take.
  return id % (MASK + 1)
}

/** Whether a request is among those that were taken back. */
export function isRecalled(id: number, { begun, upTo }: Recalled): boolean {
  const behind = (recallBits(id) - begun) & MASK
  return behind > 0 && behind <= ((upTo - begun) & MASK)
}

/** The main thread's side. */
export class Turnstile {
  /** To be shared with the watchdog. */
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array
  #last = 0

  constructor() {
    this.memory = new SharedArrayBuffer(8)
    this.#words = new Int32Array(this.memory)
  }

  /** Begins a request; `false` when it was taken back, and must not be run. Their ids grow. */
  enter(id: number): boolean {
    const words = this.#words
    const last = this.#last
    const next = recallBits(id)
    if (Atomics.compareExchange(words, 0, last, next) !== last) {
      let upTo: number
      do {
        upTo = Atomics.load(words, 1)
        if (isRecalled(id, { begun: last, upTo })) return false
        // One ahead of them: `last` is so old that its bits say nothing any more. What was taken back may still be behind it.
        if (((next - upTo) & MASK) > HALF) return true
      } while (Atomics.compareExchange(words, 1, upTo, OPENING) !== upTo)
      Atomics.store(words, 0, next)
    }
    this.#last = next
    return true
  }
}
