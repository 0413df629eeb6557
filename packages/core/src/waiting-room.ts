// Calls that wait until a worker is ready: bounded in number and in time.

import type { Candidate, Directory } from './directory.js'
import { type ClusterwireError, NoWorkerError, OverloadedError } from './errors.js'
import { PendingTable, type Waiter } from './pending.js'
import type { Clock } from './transport.js'

/** One that waits. */
export interface Guest {
  readonly procedure: string
  /** How many may wait for this procedure, and how long each, in milliseconds. */
  readonly limit: number
  readonly timeout: number
  /** Chooses a worker. @throws NoWorkerError while there is none, another error when waiting makes no sense */
  choose(): Candidate
  /** There is one. */
  admit(candidate: Candidate): void
  /** There will be none in time. */
  refuse(error: ClusterwireError): void
}

/** The calls of one peer that wait for a worker. */
export class WaitingRoom {
  readonly #places: PendingTable<Place>
  /** How many wait, by procedure. */
  readonly #counts = new Map<string, number>()
  /** Why it makes no sense to wait; undefined when it does. */
  #shut: ((procedure: string) => NoWorkerError) | undefined

  constructor(clock: Clock, directory: Directory) {
    this.#places = new PendingTable(clock)
    directory.onChange(() => {
      for (const place of this.#places.select(() => true)) this.#tryAgain(place)
    })
  }

  get size(): number {
    return this.#places.size
  }

  /**
   * Lets a call wait; the function returned takes it out again, when its caller has given up.
   *
   * @throws OverloadedError when too many wait already, NoWorkerError when no worker is expected
   */
  enter(guest: Guest, now: number): () => void {
    const { procedure, limit, timeout } = guest
    if (this.#shut !== undefined) throw this.#shut(procedure)
    const waiting = this.#counts.get(procedure) ?? 0
    if (waiting >= limit)
      throw new OverloadedError(
        `${procedure}: no worker is ready and ${limit} calls wait already; try again in ${timeout} ms, or allow more by the procedure's queue.limit`,
        { procedure, retryAfter: timeout },
      )
    const place: Place = new Place(this.#places.nextId(), now + timeout, {
      guest,
      left: () => this.#left(procedure),
    })
    this.#counts.set(procedure, waiting + 1)
    this.#places.add(place)
    return () => this.#remove(place)
  }

  /** Whether it makes no sense to wait, because no worker is expected soon. */
  get hopeless(): boolean {
    return this.#shut !== undefined
  }

  /** No worker is expected soon: nobody waits until it opens again. */
  shut(why: (procedure: string) => NoWorkerError): void {
    this.#shut = why
    this.#refuseAll(why)
  }

  open(): void {
    this.#shut = undefined
  }

  /** Refuses all who wait. */
  close(error: (procedure: string) => ClusterwireError): void {
    this.#refuseAll(error)
    this.#places.close()
  }

  #refuseAll(error: (procedure: string) => ClusterwireError): void {
    for (const place of this.#places.select(() => true))
      if (this.#remove(place)) place.guest.refuse(error(place.guest.procedure))
  }

  #tryAgain(place: Place): void {
    const { guest } = place
    let candidate: Candidate
    try {
      candidate = guest.choose()
    } catch (error) {
      if (!(error instanceof NoWorkerError) && this.#remove(place))
        guest.refuse(error as ClusterwireError)
      return
    }
    if (this.#remove(place)) guest.admit(candidate)
  }

  /** Whether it was there. */
  #remove(place: Place): boolean {
    const removed = this.#places.remove(place.id)
    if (removed) place.left()
    return removed
  }

  #left(procedure: string): void {
    const others = (this.#counts.get(procedure) ?? 1) - 1
    if (others > 0) this.#counts.set(procedure, others)
    else this.#counts.delete(procedure)
  }
}

class Place implements Waiter {
  readonly id: number
  readonly deadline: number
  readonly guest: Guest
  /** To be called when it is free again. */
  readonly left: () => void

  constructor(id: number, deadline: number, parts: { guest: Guest; left: () => void }) {
    this.id = id
    this.deadline = deadline
    this.guest = parts.guest
    this.left = parts.left
  }

  expire(): void {
    this.left()
    const { procedure, timeout } = this.guest
    this.guest.refuse(
      new NoWorkerError(`${procedure}: no worker got ready to answer within ${timeout} ms`, {
        procedure,
      }),
    )
  }
}
