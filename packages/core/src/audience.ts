// The subscribers of one topic here: each value passes the schema once and goes to all of them, in the order in which values came.
//
// A schema that answers at once costs nothing but itself. One that answers later is asked about one value at a time: what comes meanwhile
// waits in the subscribers' own queues, under their own limits and policies, and so does everything behind a schema that never answers.

import type { Named, Topic } from './contract.js'
import { OverloadedError } from './errors.js'
import type { Delivery } from './infer.js'
import { LateValue } from './late-value.js'
import type { SubscriberQueue } from './subscription.js'
import { type Refuse, refuseRequest, validate } from './validate.js'

/** A value of a retained topic. */
interface Kept {
  /** Grows with each value that comes. */
  readonly order: number
  readonly value: unknown
  readonly delivery: Delivery
}

/** Those who listen to one topic. */
export class Audience {
  readonly #topic: Named<Topic>
  readonly #refuse: Refuse
  readonly #queues = new Set<SubscriberQueue>()
  /** The highest version of a retained topic that has come. */
  #version = 0
  /** Values that have come. */
  #arrived = 0
  /** Values about which the schema has been asked and has not answered. */
  #asked = 0
  /** Of a retained topic, for those who subscribe later: the last that is valid… */
  #last: Kept | undefined
  /** …and the last that came, while its schema has not answered. */
  #newest: Kept | undefined

  constructor(topic: Named<Topic>) {
    this.#topic = topic
    this.#refuse = refuseRequest(topic.name, 'value')
  }

  get size(): number {
    return this.#queues.size
  }

  /**
   * Adds a subscriber. The value that was kept is handed to it once its maker holds the subscription; unless a newer one came first.
   *
   * @param report gets what comes of that
   */
  add(queue: SubscriberQueue, report: (running: Promise<void> | undefined) => void): void {
    this.#queues.add(queue)
    if (this.#last === undefined && this.#newest === undefined) return
    const arrived = this.#arrived
    queueMicrotask(() => {
      if (this.#arrived !== arrived) return
      for (const kept of [this.#last, this.#newest])
        if (kept !== undefined && this.#queues.has(queue))
          report(deliver(queue, kept.value, { ...kept.delivery, retained: true }))
    })
  }

  /** Whether it was there. */
  delete(queue: SubscriberQueue): boolean {
    if (!this.#queues.delete(queue)) return false
    queue.close()
    return true
  }

  /** Hands a value to all; `undefined` when they are done already. One that throws does not keep the value from the others. */
  receive(value: unknown, delivery: Delivery): Promise<void> | undefined {
    // It has come already, as it was published, between this subscription and the router's hearing of it.
    if (delivery.retained && delivery.version <= this.#version) return undefined
    this.#version = Math.max(this.#version, delivery.version)
    const order = ++this.#arrived
    let checked: unknown
    try {
      checked = this.#check(value, order, delivery)
    } catch (error) {
      return Promise.reject(error)
    }
    if (this.#topic.retain) this.#keep({ order, value: checked, delivery })
    const running = [...this.#queues].flatMap((queue) => deliver(queue, checked, delivery) ?? [])
    return running.length === 0 ? undefined : this.#allDone(running)
  }

  /** The value as the schema makes it, or a LateValue. */
  #check(value: unknown, order: number, delivery: Delivery): unknown {
    if (this.#asked > 0)
      return new LateValue(() => this.#answered(() => this.#validate(value), order, delivery))
    const checked = this.#validate(value)
    if (!(checked instanceof Promise)) return checked
    const late = new LateValue(() => this.#answered(() => checked, order, delivery))
    late.valid().catch(() => undefined) // Who wants the value hears of it, if anybody still does.
    return late
  }

  #validate(value: unknown): unknown {
    return validate(this.#topic.schema, value, this.#refuse)
  }

  async #answered(ask: () => unknown, order: number, delivery: Delivery): Promise<unknown> {
    this.#asked++
    try {
      const value = await ask()
      if (this.#topic.retain) this.#keep({ order, value, delivery })
      return value
    } finally {
      this.#asked--
      if (this.#newest?.order === order) this.#newest = undefined
    }
  }

  #keep(kept: Kept): void {
    if (kept.value instanceof LateValue) this.#newest = kept
    else if (this.#last === undefined || this.#last.order < kept.order) {
      this.#last = kept
      if (this.#newest !== undefined && this.#newest.order < kept.order) this.#newest = undefined
    }
  }

  /** Waits for all, and then fails with what the first to fail failed with; that a value was dropped says less than any failure. */
  async #allDone(running: readonly Promise<unknown>[]): Promise<void> {
    const failed = (await Promise.allSettled(running)).flatMap((one) =>
      one.status === 'rejected' ? [{ error: one.reason as unknown }] : [],
    )
    const worst = failed.find(({ error }) => !isDrop(error, this.#topic.name)) ?? failed[0]
    if (worst !== undefined) throw worst.error
  }
}

/** Whether a value was dropped. A subscriber's own call may be OVERLOADED, too, but names another procedure. */
export function isDrop(error: unknown, topic: string): boolean {
  try {
    return error instanceof OverloadedError && error.procedure === topic
  } catch {
    return false // A proxy that throws when looked at: a subscriber's own.
  }
}

function deliver(
  queue: SubscriberQueue,
  value: unknown,
  delivery: Delivery,
): Promise<void> | undefined {
  try {
    return queue.deliver(value, delivery)
  } catch (error) {
    return Promise.reject(error)
  }
}
