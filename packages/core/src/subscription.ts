// One subscriber to one topic: values one after another, a bounded queue for those that come while it is busy.

import { InvalidOptionError, OverloadedError } from './errors.js'
import type { Delivery, Overflow, SubscribeOptions } from './infer.js'
import { LateValue } from './late-value.js'
import { isThenable } from './thenable.js'

/** Gets a topic's values. While the promise that it returns is pending, the next ones wait. */
export type Subscriber = (value: unknown, delivery: Delivery) => unknown

interface Waiting {
  readonly value: unknown
  readonly delivery: Delivery
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const LIMIT = 1_000
const OVERFLOWS: readonly Overflow[] = ['drop-oldest', 'drop-newest', 'disconnect']

/** A subscriber and what waits for it. No publisher ever waits for its queue: what does not fit is dropped, and counted. */
export class SubscriberQueue {
  /** Values that were dropped because the queue was full. */
  dropped = 0
  readonly #subscriber: Subscriber
  readonly #topic: string
  readonly #limit: number
  readonly #overflow: Overflow
  /** To be called when the queue is full and the policy is to disconnect. */
  readonly #disconnect: (error: OverloadedError) => void
  readonly #waiting: Waiting[] = []
  /** Whether the subscriber runs, or the schema of the value that it is to get next. */
  #busy = false
  #closed = false
  #onIdle: (() => void) | undefined
  /** That value. */
  #validating: Waiting | undefined

  /** @throws InvalidOptionError */
  constructor(parts: {
    readonly topic: string
    readonly subscriber: Subscriber
    readonly options: SubscribeOptions
    readonly disconnect: (error: OverloadedError) => void
  }) {
    const { limit = LIMIT, overflow = 'drop-oldest' } = parts.options
    if (!(Number.isInteger(limit) && limit >= 1))
      throw new InvalidOptionError(
        `subscribe(${parts.topic}): "limit" must be a whole number, 1 or more, got ${String(limit)}`,
      )
    if (!OVERFLOWS.includes(overflow))
      throw new InvalidOptionError(
        `subscribe(${parts.topic}): "overflow" must be one of ${OVERFLOWS.join(', ')}, got ${String(overflow)}`,
      )
    this.#topic = parts.topic
    this.#subscriber = parts.subscriber
    this.#limit = limit
    this.#overflow = overflow
    this.#disconnect = parts.disconnect
  }

  /**
   * Hands a value over. `undefined`: the subscriber has had it. Else a promise of that, which rejects with what the subscriber throws,
   * with what the schema of a late value says against it, or with `OVERLOADED` when the value was dropped.
   */
  deliver(value: unknown, delivery: Delivery): Promise<void> | undefined {
    if (this.#closed) return undefined // Another subscriber of the same value has ended this one.
    const busy = this.#busy
    if (!(busy || value instanceof LateValue)) return this.#run(value, delivery)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ value, delivery, resolve, reject })
      if (!busy) this.#next()
      else if (this.#waiting.length > this.#limit) this.#overflown()
    })
  }

  /** Calls `run` when the subscriber has had all that has come. */
  whenIdle(run: () => void): void {
    if (this.#busy) this.#onIdle = run
    else run()
  }

  /** Lets go of what waits: there is no subscriber any more. */
  close(): void {
    this.#validating?.resolve()
    this.#validating = undefined
    this.#closed = true
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  /** @throws what the subscriber throws at once */
  #run(value: unknown, delivery: Delivery): Promise<void> | undefined {
    const result = this.#subscriber(value, delivery)
    if (!isThenable<void>(result)) return undefined
    this.#busy = true
    return Promise.resolve(result).finally(() => this.#next())
  }

  #next(): void {
    this.#busy = false
    while (!this.#busy) {
      const next = this.#waiting.shift()
      if (next === undefined) return this.#onIdle?.()
      if (next.value instanceof LateValue) this.#validate(next, next.value)
      else this.#runNext(next)
    }
  }

  #runNext({ value, delivery, resolve, reject }: Waiting): void {
    try {
      const running = this.#run(value, delivery)
      if (running === undefined) resolve()
      else running.then(resolve, reject)
    } catch (error) {
      reject(error)
    }
  }

  /** Its schema is part of a value's turn: while it has not answered, the subscriber counts as busy. */
  #validate(next: Waiting, late: LateValue): void {
    this.#busy = true
    this.#validating = next
    late.valid().then(
      (value) => this.#validated(next, () => this.#runNext({ ...next, value })),
      (error: unknown) => this.#validated(next, () => next.reject(error)),
    )
  }

  #validated(next: Waiting, goOn: () => void): void {
    if (this.#validating !== next) return // The subscription has ended meanwhile.
    this.#validating = undefined
    this.#busy = false
    goOn()
    if (!this.#busy) this.#next()
  }

  #overflown(): void {
    const error = new OverloadedError(
      `${this.#topic}: ${this.#limit} values wait for a subscriber that does not keep up`,
      { procedure: this.#topic },
    )
    const lost = this.#overflow === 'drop-oldest' ? this.#waiting.shift() : this.#waiting.pop()
    this.dropped++
    lost?.reject(error)
    if (this.#overflow !== 'disconnect') return
    const rest = this.#waiting.splice(0)
    if (this.#validating !== undefined) rest.push(this.#validating)
    this.#validating = undefined
    this.dropped += rest.length
    for (const { reject } of rest) reject(error)
    this.#disconnect(error)
  }
}

interface Reader {
  readonly resolve: (result: IteratorResult<unknown, undefined>) => void
  readonly reject: (error: unknown) => void
}

/** A subscription without a function: its values wait in a queue until a `for await` takes them. */
export class SubscriptionIterator implements AsyncIterableIterator<unknown, undefined> {
  readonly #unsubscribe: () => void
  /** The value that the subscriber was called with, until it is taken. */
  #offered: { readonly value: unknown; readonly taken: () => void } | undefined
  /** Those who have asked and got nothing yet. */
  readonly #readers: Reader[] = []
  /** How it ended; an error is told once, behind the last value. */
  #end: { readonly error?: unknown } | undefined

  constructor(unsubscribe: () => void) {
    this.#unsubscribe = unsubscribe
  }

  /** The subscriber: a value counts as applied when the loop has taken it. */
  offer(value: unknown): Promise<void> | undefined {
    if (this.#end !== undefined) return undefined
    const reader = this.#readers.shift()
    if (reader === undefined)
      return new Promise((taken) => {
        this.#offered = { value, taken }
      })
    reader.resolve({ value, done: false })
    return undefined
  }

  fail(error: unknown): void {
    if (this.#end !== undefined) return
    const reader = this.#readers.shift()
    this.#end = reader === undefined ? { error } : {}
    reader?.reject(error)
    this.#finish()
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const offered = this.#offered
    if (offered !== undefined) {
      this.#offered = undefined
      offered.taken()
      return { value: offered.value, done: false }
    }
    const end = this.#end
    if (end === undefined)
      return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
    this.#end = {}
    if ('error' in end) throw end.error
    return { value: undefined, done: true }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#end = {}
    this.#offered?.taken()
    this.#offered = undefined
    this.#finish()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #finish(): void {
    for (const { resolve } of this.#readers.splice(0)) resolve({ value: undefined, done: true })
    this.#unsubscribe()
  }
}
