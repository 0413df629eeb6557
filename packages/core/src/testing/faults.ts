// What can go wrong on the way between the primary and one worker of a mesh.

import type { Clock } from '../transport.js'
import type { MemoryLink, Wire } from '../transports/memory.js'

/** What is under way. */
interface Parcel {
  /** When it arrives, on the clock. */
  readonly due: number
  readonly run: () => void
}

/** One direction. Nothing overtakes on it. */
class Way implements Wire {
  readonly #clock: Clock
  readonly #parcels: Parcel[] = []
  #cancelTimer: (() => void) | undefined
  /** Milliseconds that everything takes from now on. */
  delay = 0
  /** Whether the sender can hand anything over. */
  open = true
  /** Whether the receiver reads. */
  reads = true

  constructor(clock: Clock) {
    this.#clock = clock
  }

  carry(run: () => void): void {
    if (this.#parcels.length === 0 && this.delay === 0 && this.reads) return run()
    const last = this.#parcels.at(-1)?.due ?? 0
    this.#parcels.push({ due: Math.max(last, this.#clock.now() + this.delay), run })
    if (this.#parcels.length === 1) this.arrive()
  }

  /** Lets arrive what is due, and waits for the next. */
  arrive(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    while (this.reads) {
      const [next] = this.#parcels
      if (next === undefined) return
      const ms = next.due - this.#clock.now()
      if (ms > 0) {
        this.#cancelTimer = this.#clock.after(ms, () => this.arrive())
        return
      }
      this.#parcels.shift()
      next.run()
    }
  }

  /** What is under way is lost. */
  drop(): void {
    this.#parcels.length = 0
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}

/** Both directions between the primary's end of a link and the worker's. */
export class Line {
  readonly #there: Way
  readonly #back: Way
  #ends: readonly MemoryLink[] = []

  constructor(clock: Clock) {
    this.#there = new Way(clock)
    this.#back = new Way(clock)
  }

  get wires(): readonly [there: Wire, back: Wire] {
    return [this.#there, this.#back]
  }

  /** Tells which two ends it connects. */
  connect(ends: readonly MemoryLink[]): void {
    this.#ends = ends
  }

  /** Milliseconds that everything takes from now on, in each direction. */
  set delay(ms: number) {
    this.#there.delay = ms
    this.#back.delay = ms
  }

  /** The worker neither reads nor writes. */
  freeze(): void {
    this.#there.reads = false
    this.#back.open = false
  }

  /** The worker goes on, at the end of this turn. */
  thaw(): void {
    this.#there.reads = true
    this.#back.open = true
    queueMicrotask(() => {
      this.#there.arrive()
      for (const end of this.#ends) end.flush()
    })
  }

  /** The worker's process ends: what it has handed over arrives, what it has not read does not. */
  kill(): void {
    this.#there.drop()
  }

  /** Nothing arrives any more, and both ends know. */
  cut(reason: Error): void {
    this.#there.drop()
    this.#back.drop()
    for (const end of this.#ends) end.destroy(reason)
  }
}
