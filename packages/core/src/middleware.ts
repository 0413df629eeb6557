// What runs around handlers and around calls, as its users write it.

import type { Procedure } from './contract.js'
import { InvalidOptionError } from './errors.js'
import type { CallOptions, HandlerContext } from './infer.js'

/** A request on its way to its handler. */
export interface HandlerCall<Given extends object = object> {
  /** The procedure's or stream's full name. */
  readonly procedure: string
  /** The input, valid. */
  readonly input: unknown
  /** What the handler will get, and what middleware before this has added. */
  readonly context: HandlerContext<Procedure> & Given
}

/**
 * What came of passing a request on: the handler's result, and in its type what was added to the context. One that middleware makes itself
 * answers the request with another output.
 */
export interface Passed<Added extends object = object> {
  readonly output: unknown
  /** In the type only. */
  readonly added?: Added
}

/**
 * Passes a request on, with what is to be added to the handler's context. To be called once, and waited for: of a handler that nobody
 * waits for, what it gives and what it throws are dropped.
 *
 * @throws InvalidOptionError when called again, or after the middleware has returned
 */
export type PassOn = <Added extends object = object>(added?: Added) => Promise<Passed<Added>>

/**
 * Runs around handlers: may look, refuse by throwing, and add to the context by `next({ … })`. Returns what `next` gave, or a
 * `{ output }` of its own, with or without calling `next`; anything else fails the request.
 */
export type Middleware<Given extends object = object, Added extends object = object> = (
  call: HandlerCall<Given>,
  next: PassOn,
) => Promise<Passed<Added>>

/** A call on its way out. */
export interface ClientCall {
  /** What is called: a procedure, a stream, or a procedure on every worker (`all`). */
  readonly kind: 'call' | 'stream' | 'gather'
  /** The procedure's or stream's full name. */
  readonly procedure: string
  readonly input: unknown
  /** For a stream with an upload, that too. */
  readonly options: CallOptions
}

/**
 * Runs around a client's calls: may look, answer by itself, call `next` again, or change what is sent. What `next` resolves with is the
 * answer; for a stream an async iterable of its values, which the middleware may wrap; for `all` the receipt.
 */
export type ClientMiddleware = (
  call: ClientCall,
  next: (change?: { readonly input?: unknown; readonly options?: CallOptions }) => Promise<unknown>,
) => Promise<unknown>

type Handler = (input: unknown, context: HandlerContext<Procedure>) => unknown

/** Puts middleware around a handler; the first is the outermost. */
export function around(
  procedure: string,
  middleware: readonly Middleware[],
  handler: Handler,
): Handler {
  return middleware.reduceRight<Handler>(
    (inner, one) => async (input, context) => {
      let refusal: string | undefined
      const next = (added: object = {}) => {
        // At once, and not as a rejection: nobody may be waiting for it.
        if (refusal !== undefined) throw new InvalidOptionError(refusal, { procedure })
        refusal = `${procedure}: middleware called next() a second time; a request is passed on once`
        // The context belongs to this request alone. Defined, not assigned: `__proto__` among them must stay a mere key.
        for (const [key, value] of Object.entries(added))
          Object.defineProperty(context, key, { value, enumerable: true, configurable: true })
        const passed = passOn(inner, input, context)
        passed.catch(() => undefined) // Middleware that does not wait for it does not want to know.
        return passed
      }
      try {
        return outputOf(procedure, await one({ procedure, input, context }, next as PassOn))
      } finally {
        refusal ??= `${procedure}: middleware called next() after it had returned`
      }
    },
    handler,
  )
}

async function passOn(
  inner: Handler,
  ...request: Parameters<Handler>
): Promise<{ readonly output: unknown }> {
  return { output: await inner(...request) }
}

function outputOf(procedure: string, passed: unknown): unknown {
  if (typeof passed === 'object' && passed !== null && 'output' in passed) return passed.output
  throw new InvalidOptionError(
    `${procedure}: middleware must return what next() gave, or { output }; it returned ${typeof passed}`,
    { procedure },
  )
}

type Outgoing = Pick<ClientCall, 'kind' | 'procedure'>

/** Puts middleware around a call; the first is the outermost. */
export function aroundCall(
  outgoing: Outgoing,
  middleware: readonly ClientMiddleware[],
  call: (input: unknown, options: CallOptions) => Promise<unknown>,
): (input: unknown, options: CallOptions) => Promise<unknown> {
  return middleware.reduceRight(
    (inner, one) => async (input, options) =>
      one({ ...outgoing, input, options }, async (change = {}) =>
        inner('input' in change ? change.input : input, change.options ?? options),
      ),
    call,
  )
}

type Values = AsyncIterableIterator<unknown, undefined>

/**
 * Puts middleware around a stream, which runs when the first value is asked for.
 *
 * @param drop told when the middleware, or the reader, has left it at that: nobody will read what was to be uploaded
 */
export function aroundStream(
  procedure: string,
  middleware: readonly ClientMiddleware[],
  {
    begin,
    drop,
  }: {
    begin: (input: unknown, options: CallOptions) => Values
    drop: (options: CallOptions) => void
  },
): (input: unknown, options: CallOptions) => Values {
  if (middleware.length === 0) return begin
  const outgoing = { kind: 'stream', procedure } as const
  const run = aroundCall(outgoing, middleware, async (input, options) => begin(input, options))
  return (input, options) =>
    new LateStream(procedure, {
      make: () => run(input, options),
      drop: () => drop(options),
    })
}

/** A stream whose values come from an iterable that is still to be made. */
class LateStream implements Values {
  readonly #procedure: string
  readonly #make: () => Promise<unknown>
  readonly #drop: () => void
  #values: Promise<AsyncIterator<unknown>> | undefined
  #left = false

  constructor(
    procedure: string,
    { make, drop }: { make: () => Promise<unknown>; drop: () => void },
  ) {
    this.#procedure = procedure
    this.#make = make
    this.#drop = drop
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#left) return { value: undefined, done: true }
    this.#values ??= this.#begin()
    try {
      const values = await this.#values
      return (await values.next()) as IteratorResult<unknown, undefined>
    } catch (error) {
      this.#left = true // As a generator that has thrown.
      throw error
    }
  }

  /** Waits for nothing: middleware may take long to give the values that are not wanted any more. */
  async return(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#values === undefined && !this.#left) this.#drop()
    this.#left = true
    this.#values?.then((values) => values.return?.()).catch(() => {}) // Nobody reads what that could say.
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #begin(): Promise<AsyncIterator<unknown>> {
    let values: Partial<AsyncIterable<unknown>> | undefined
    try {
      values = (await this.#make()) as typeof values
    } catch (error) {
      this.#drop()
      throw error
    }
    if (typeof values?.[Symbol.asyncIterator] === 'function')
      return (values as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    this.#drop()
    throw new InvalidOptionError(
      `${this.#procedure}: middleware around a stream must return an async iterable, as next() does`,
      { procedure: this.#procedure },
    )
  }
}
