// How many calls of one procedure (or how many of one stream) a worker runs at once, and the queue of those beyond.

import type { QueueLimits } from './contract.js'
import { OverloadedError } from './errors.js'
import type { IncomingExchange } from './incoming.js'
import { PendingTable, type Waiter } from './pending.js'
import type { Clock } from './transport.js'

/** Lets so many calls run, and the others wait in the order in which they came. */
export class Limiter {
  readonly #procedure: string
  readonly #concurrency: number
  readonly #queue: QueueLimits
  readonly #clock: Clock
  readonly #waiting: PendingTable<Ticket>
  /** The same, in the order in which they came. */
  readonly #line = new Set<Ticket>()
  #running = 0
  /** `leave` is letting others in. */
  #admitting = false

  constructor(
    procedure: string,
    limits: { concurrency: number; queue: QueueLimits },
    clock: Clock,
  ) {
    this.#procedure = procedure
    this.#concurrency = limits.concurrency
    this.#queue = limits.queue
    this.#clock = clock
    this.#waiting = new PendingTable(clock)
  }

  /**
   * Runs the call now or later; whoever runs it says `leave` when its handler is done. A call that a handler made runs at once: it may be what
   * the ones that hold the places are waiting for.
   */
  enter(
    exchange: IncomingExchange,
    run: () => void,
    refuse: (error: OverloadedError) => void,
  ): void {
    if (this.#running < this.#concurrency || exchange.depth > 0) {
      this.#running++
      return run()
    }
    if (this.#waiting.size >= this.#queue.limit)
      return refuse(this.#overloaded('too many calls wait already'))
    const ticket: Ticket = new Ticket({
      id: this.#waiting.nextId(),
      deadline: this.#clock.now() + this.#queue.timeout,
      run,
      expired: () => {
        this.#forget(ticket)
        refuse(this.#overloaded(`it waited for ${this.#queue.timeout} ms`))
      },
    })
    this.#waiting.add(ticket)
    this.#line.add(ticket)
    exchange.onCancel(() => this.#forget(ticket))
  }

  /** A call's handler is done. */
  leave(): void {
    this.#running--
    // A handler that is done at once leaves from within `run`: the loop that runs it goes on, instead of one more on top of it.
    if (this.#admitting) return
    this.#admitting = true
    while (this.#running < this.#concurrency) {
      const [next] = this.#line
      if (next === undefined) break
      this.#forget(next)
      this.#running++
      next.run()
    }
    this.#admitting = false
  }

  /** Stops the timer. Nothing may wait any more. */
  close(): void {
    this.#waiting.close()
  }

  #forget(ticket: Ticket): void {
    this.#waiting.remove(ticket.id)
    this.#line.delete(ticket)
  }

  #overloaded(why: string): OverloadedError {
    const procedure = this.#procedure
    return new OverloadedError(
      `${procedure}: this worker runs ${this.#concurrency} at once, and ${why}; try again later, or raise its concurrency or queue`,
      { procedure, retryAfter: this.#queue.timeout },
    )
  }
}

class Ticket implements Waiter {
  readonly id: number
  readonly deadline: number
  readonly run: () => void
  readonly #expired: () => void

  constructor(parts: { id: number; deadline: number; run: () => void; expired: () => void }) {
    this.id = parts.id
    this.deadline = parts.deadline
    this.run = parts.run
    this.#expired = parts.expired
  }

  expire(): void {
    this.#expired()
  }
}
