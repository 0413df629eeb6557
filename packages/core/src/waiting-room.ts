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
  /** Why it makes no sense to wait; undefined when it does. */
  #shut: NoWorkerError | undefined

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
    if (this.#shut !== undefined) throw this.#shut
    if (this.#places.select((one) => one.guest.procedure === procedure).length >= limit)
      throw new OverloadedError(
        `${procedure}: no worker is ready and ${limit} calls wait already; try again in ${timeout} ms, or allow more by the procedure's queue.limit`,
        { procedure, retryAfter: timeout },
      )
    const place = new Place(this.#places.nextId(), now + timeout, guest)
    this.#places.add(place)
    return () => this.#places.remove(place.id)
  }

  /** Whether it makes no sense to wait, because no worker is expected soon. */
  get hopeless(): boolean {
    return this.#shut !== undefined
  }

  /** No worker is expected soon: nobody waits until it opens again. */
  shut(why: NoWorkerError): void {
    this.#shut = why
    for (const { id, guest } of this.#places.select(() => true))
      if (this.#places.remove(id)) guest.refuse(why)
  }

  open(): void {
    this.#shut = undefined
  }

  /** Refuses all who wait. */
  close(error: ClusterwireError): void {
    for (const { id, guest } of this.#places.select(() => true))
      if (this.#places.remove(id)) guest.refuse(error)
    this.#places.close()
  }

  #tryAgain({ id, guest }: Place): void {
    let candidate: Candidate
    try {
      candidate = guest.choose()
    } catch (error) {
      if (!(error instanceof NoWorkerError) && this.#places.remove(id))
        guest.refuse(error as ClusterwireError)
      return
    }
    if (this.#places.remove(id)) guest.admit(candidate)
  }
}

class Place implements Waiter {
  readonly id: number
  readonly deadline: number
  readonly guest: Guest

  constructor(id: number, deadline: number, guest: Guest) {
    this.id = id
    this.deadline = deadline
    this.guest = guest
  }

  expire(): void {
    const { procedure, timeout } = this.guest
    this.guest.refuse(
      new NoWorkerError(`${procedure}: no worker got ready to answer within ${timeout} ms`, {
        procedure,
      }),
    )
  }
}
