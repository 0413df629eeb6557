// The exchanges that a peer has begun and not yet seen the end of: found by id, and ended when their time is up.

import { MAX_TIMEOUT } from './contract.js'
import { IdTable } from './id-table.js'
import type { Clock } from './transport.js'

/** What can wait in the table. */
export interface Waiter {
  readonly id: number
  /** When its time is up, on the table's clock; `Infinity` for never. */
  readonly deadline: number
  /** Its time is up. It has been removed from the table. */
  expire(): void
}

/**
 * Exchanges by id.
 *
 * Most calls end long before their deadline, so a timer for each would be set and cleared for nothing. Instead one timer runs to the
 * earliest deadline that was seen; when it fires, everything overdue is ended in one pass and the earliest of the rest is noted.
 * Adding and removing never touch a timer, except when a call is due before the one that runs.
 */
export class PendingTable<W extends Waiter> {
  readonly #clock: Clock
  readonly #waiters = new IdTable<W>()
  /** Ids are never used twice: a late answer can find nobody but the one who asked. 2^53 of them last longer than any process. */
  #lastId = 0
  /** The time that the timer runs to. Never later than the earliest deadline in the table. */
  #alarm = Number.POSITIVE_INFINITY
  #cancelAlarm: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waiters.size
  }

  nextId(): number {
    return ++this.#lastId
  }

  /** How many ids have been given out: an answer to a higher one is forged. */
  get lastId(): number {
    return this.#lastId
  }

  add(waiter: W): void {
    this.#waiters.add(waiter)
    if (waiter.deadline < this.#alarm) this.#setAlarm(waiter.deadline)
  }

  get(id: number): W | undefined {
    return this.#waiters.get(id)
  }

  /** Whether it was there. */
  remove(id: number): boolean {
    return this.#waiters.delete(id)
  }

  /** Those that the test picks, the oldest first, as they are now: the table may change while they are gone through. */
  select(test: (waiter: W) => boolean): W[] {
    return [...this.#waiters.values()].filter(test).sort((one, other) => one.id - other.id)
  }

  /** Stops the timer. */
  close(): void {
    this.#cancelAlarm?.()
    this.#cancelAlarm = undefined
    this.#alarm = Number.POSITIVE_INFINITY
  }

  #setAlarm(time: number): void {
    this.#cancelAlarm?.()
    this.#alarm = time
    // A timer may fire up to one millisecond early (Node truncates), so it is set to the millisecond after.
    const ms = Math.max(1, Math.ceil(time - this.#clock.now()))
    // The sum of now and the longest timeout may be rounded up to more than a timer can hold. It then fires early, to be set again.
    this.#cancelAlarm = this.#clock.after(Math.min(ms, MAX_TIMEOUT), () => this.#sweep())
  }

  #sweep(): void {
    this.#cancelAlarm = undefined
    this.#alarm = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    const overdue: W[] = []
    let earliest = Number.POSITIVE_INFINITY
    for (const waiter of this.#waiters.values()) {
      if (waiter.deadline <= now) overdue.push(waiter)
      else if (waiter.deadline < earliest) earliest = waiter.deadline
    }
    if (earliest < Number.POSITIVE_INFINITY) this.#setAlarm(earliest)
    for (const waiter of overdue) if (this.remove(waiter.id)) waiter.expire()
  }
}
