// Values in and out of an exchange as async iterables: what comes in waits here until it is asked for, what goes out waits for credit.

import { InvalidValueError } from './errors.js'
import type { Exchange } from './exchange.js'
import { Flag, type Frame } from './frames.js'
import { type AnySchema, isBytes } from './schema.js'
import { PIECE_BYTES } from './streams.js'
import { isThenable } from './thenable.js'
import { decodeValue, encodeValue } from './transports/codec.js'

/** What an inbox tells of its reader. */
export interface InboxEvents {
  /** The reader has taken a value that came in these many bytes. */
  consumed(bytes: number): void
  /** The reader left before the end. */
  left(): void
}

interface Reader<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void
  readonly reject: (error: unknown) => void
}

/**
 * The values of one direction of an exchange, in order. It ends as the other side ended it: cleanly, or with the error, after all that
 * had come before.
 */
export class Inbox<T> implements AsyncIterableIterator<T, undefined> {
  readonly #events: InboxEvents
  /** Values that nobody has asked for. Bounded by the credit that the sender has. */
  readonly #values: { readonly value: T; readonly bytes: number }[] = []
  /** Those who have asked and got nothing yet. One of these two is always empty. */
  readonly #readers: Reader<T>[] = []
  /** How it ended; told to the reader behind the last value. */
  #end: { readonly error?: unknown } | undefined

  constructor(events: InboxEvents) {
    this.#events = events
  }

  push(value: T, bytes: number): void {
    if (this.#end !== undefined) return this.#events.consumed(bytes) // The reader has left.
    const reader = this.#readers.shift()
    if (reader === undefined) {
      this.#values.push({ value, bytes })
      return
    }
    reader.resolve({ value, done: false })
    this.#events.consumed(bytes)
  }

  /** Whether it has ended, or its reader has left. */
  get ended(): boolean {
    return this.#end !== undefined
  }

  /** No more will come. */
  end(): void {
    if (this.#end !== undefined) return
    this.#end = {}
    for (const reader of this.#readers.splice(0)) reader.resolve({ value: undefined, done: true })
  }

  /** It broke. The first reader that comes to this point gets the error; for those after it, the end is all there is. */
  fail(error: unknown): void {
    if (this.#end !== undefined) return
    const [first, ...others] = this.#readers.splice(0)
    this.#end = first === undefined ? { error } : {}
    first?.reject(error)
    for (const reader of others) reader.resolve({ value: undefined, done: true })
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const next = this.#values.shift()
    if (next !== undefined) {
      this.#events.consumed(next.bytes)
      return Promise.resolve({ value: next.value, done: false })
    }
    if (this.#end === undefined)
      return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
    const ended = this.#end
    this.#end = {}
    return 'error' in ended
      ? Promise.reject(ended.error)
      : Promise.resolve({ value: undefined, done: true })
  }

  /** The reader leaves: what has not been read is dropped, and the other side is told. */
  async return(): Promise<IteratorResult<T, undefined>> {
    const open = this.#end === undefined
    this.end()
    for (const { bytes } of this.#values.splice(0)) this.#events.consumed(bytes)
    this.#end = {} // An error that came behind them interests nobody any more, either.
    if (open) this.#events.left()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** What is wrong with a value, told apart from what its source throws. */
export class Unfit {
  readonly #error: unknown

  constructor(error: unknown) {
    this.#error = error
  }

  /** What is wrong, if that was thrown; else undefined. Looks at nothing else: what a source throws may be a Proxy. */
  static in(thrown: unknown): { readonly error: unknown } | undefined {
    return typeof thrown === 'object' && thrown !== null && #error in thrown
      ? { error: thrown.#error }
      : undefined
  }
}

/** Reads the value of a data frame, or its bytes. */
export function readData(frame: Frame): unknown {
  if ((frame.flags & Flag.raw) === 0) return decodeValue(frame.bytes, frame.body, frame.end)
  const { buffer, byteOffset, length } = frame.owned ? frame.keep(frame.body) : ownCopy(frame)
  return new Uint8Array(buffer, byteOffset, length)
}

/** In a buffer that nothing else lies in: whoever gets it may give it away. */
function ownCopy(frame: Frame): Buffer {
  const copy = Buffer.allocUnsafeSlow(frame.end - frame.body)
  frame.copy(copy, frame.body)
  return copy
}

/** Where values are asked for no faster than they leave. */
export class Outbox {
  readonly #exchange: Exchange
  /** Whether they are bytes, to be sent as they are. */
  readonly #raw: boolean
  #resume: (() => void) | undefined
  #closeSource: (() => void) | undefined

  /** @param schema what the values have passed */
  constructor(exchange: Exchange, schema: AnySchema | undefined) {
    this.#exchange = exchange
    this.#raw = isBytes(schema)
  }

  /** There is credit again, or the exchange is over: a source that has nothing to say just now is then closed, too. */
  wake(): void {
    this.#resume?.()
    this.#resume = undefined
    if (this.#exchange.over) this.#closeSource?.()
  }

  /**
   * Sends all values of `source`, each after `prepare` has had it. Stops, and closes the source, when the exchange is over.
   *
   * @returns whether all were sent
   * @throws what the source throws, or `prepare`; Unfit when a value can't be sent
   */
  async send<T>(
    source: AsyncIterable<T> | Iterable<T>,
    prepare: (value: T) => unknown,
  ): Promise<boolean> {
    const values = iteratorOf(source)
    this.#closeSource = () => {
      this.#closeSource = undefined
      close(values)
    }
    try {
      for (;;) {
        // Waiting for what is there would cost a turn of the microtask queue for each value.
        const step = values.next()
        const { value, done } = isThenable(step) ? await step : step
        if (done === true) {
          this.#closeSource = undefined // It has closed by itself.
          return !this.#exchange.over
        }
        if (this.#exchange.over) return false
        const prepared = prepare(value)
        const room = this.put(prepared instanceof Promise ? await prepared : prepared)
        if (room !== undefined) await room
        if (this.#exchange.over) return false
      }
    } finally {
      this.#closeSource?.()
    }
  }

  /**
   * Sends one value, when there is credit.
   *
   * @returns what to wait for; undefined when it is sent already
   * @throws Unfit when it can't be sent
   */
  put(value: unknown): Promise<void> | undefined {
    if (this.#raw) return this.#putBytes(value as Uint8Array)
    if (!this.#exchange.writable) return this.#room().then(() => this.#write(value))
    this.#write(value)
    return undefined
  }

  #write(value: unknown): void {
    try {
      this.#exchange.write(encodeValue, value)
    } catch (error) {
      throw new Unfit(error)
    }
  }

  async #putBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (!this.#exchange.writable) await this.#room()
      this.#exchange.writeBytes(bytes, at, Math.min(at + PIECE_BYTES, bytes.length))
    }
  }

  /** Waits until there is credit, or the exchange is over. */
  async #room(): Promise<void> {
    while (!this.#exchange.writable && !this.#exchange.over)
      await new Promise<void>((resolve) => {
        this.#resume = resolve
      })
  }
}

type Values<T> = AsyncIterator<T> | Iterator<T>

/** @throws Unfit when it has none */
function iteratorOf<T>(source: AsyncIterable<T> | Iterable<T>): Values<T> {
  // An object made of it, as text has values, too.
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = Object(source)
  const make = later ?? now
  if (typeof make === 'function') return make.call(source)
  throw new Unfit(
    new InvalidValueError(
      `What is streamed must be an iterable or an async iterable, got ${source === null ? 'null' : typeof source}`,
    ),
  )
}

/** Tells a source that was never asked for anything that it will not be. */
export function closeSource(source: AsyncIterable<unknown> | Iterable<unknown> | undefined): void {
  if (source === undefined) return
  ignoring(() => {
    const stream = source as { destroy?: unknown }
    // The iterator of one of Node's streams closes nothing before it has begun.
    return typeof stream.destroy === 'function' ? stream.destroy() : iteratorOf(source).return?.()
  })
}

/** Tells a source that nobody wants its values. */
function close(values: Values<unknown>): void {
  ignoring(() => values.return?.())
}

/** What a source has to say about its end interests nobody, whether it throws at once or rejects. */
function ignoring(end: () => unknown): void {
  new Promise((resolve) => resolve(end())).catch(() => {})
}
