// The types that a contract implies: what a client's methods take and give, and what a handler gets and returns.

import type { Contract, Member, Members, Named, Procedure, Stream, Topic } from './contract.js'
import type { DeclaredError } from './errors.js'
import type { AnySchema, InputOf, OutputOf } from './schema.js'

type In<S> = S extends AnySchema ? InputOf<S> : undefined
type Out<S> = S extends AnySchema ? OutputOf<S> : undefined

/** What a caller passes. */
export type CallerInput<P extends Procedure | Stream> = In<P['input']>
/** What the handler gets: the input after validation, transforms applied. */
export type HandlerInput<P extends Procedure | Stream> = Out<P['input']>
/** What the handler gives. A procedure without an output schema may give anything; it is dropped. */
export type HandlerOutput<P extends Procedure | Stream> = P['output'] extends AnySchema
  ? InputOf<P['output']>
  : unknown
/** What the caller gets back. */
export type CallerOutput<P extends Procedure | Stream> = Out<P['output']>
/** What a publisher passes. */
export type PublishedValue<T extends Topic> = InputOf<T['schema']>
/** What a subscriber gets. */
export type ReceivedValue<T extends Topic> = OutputOf<T['schema']>

/** The declared errors of a procedure, as one union that `code` tells apart. */
export type ErrorsOf<P extends { readonly errors: Readonly<Record<string, AnySchema>> }> = {
  [Code in keyof P['errors'] & string]: DeclaredError<Code, OutputOf<P['errors'][Code]>>
}[keyof P['errors'] & string]

/** The makers of a procedure's declared errors, as a handler finds them in its context. */
export type ErrorMakers<P extends { readonly errors: Readonly<Record<string, AnySchema>> }> = {
  readonly [Code in keyof P['errors'] & string]: (
    data: InputOf<P['errors'][Code]>,
    options?: { readonly message?: string; readonly cause?: unknown },
  ) => DeclaredError<Code, InputOf<P['errors'][Code]>>
}

/** What travels with a call beside its input: a request id, a tenant, a trace. Nested calls carry it on. */
export type Meta = Readonly<Record<string, string>>

/** How one call differs from what its procedure says. */
export interface CallOptions {
  /** Milliseconds until the call fails with `DEADLINE_EXCEEDED`. Default: the procedure's. */
  readonly timeout?: number | undefined
  /** Aborting it fails the call with `CANCELLED` and aborts the handler's signal. */
  readonly signal?: AbortSignal | undefined
  /** Travels to the handler's `meta`. Default: what the request that is being handled came with, if one is */
  readonly meta?: Meta | undefined
}

/** The peer at the other end. */
export interface PeerInfo {
  /** 0 for the primary, else the worker's number, as `node:cluster` counts. */
  readonly number: number
  /** A name that no other peer has, this one's predecessors and successors included. */
  readonly id: string
}

/** What a handler knows about the call it is answering. */
export interface HandlerContext<
  P extends { readonly errors: Readonly<Record<string, AnySchema>> },
> {
  /** Aborts when the caller cancels, runs out of time, or dies. */
  readonly signal: AbortSignal
  /** When the caller stops waiting: milliseconds on this process's own `performance.now()` clock; `Infinity` for a stream without a timeout. */
  readonly deadline: number
  /** Who is calling. */
  readonly from: PeerInfo
  /** What the caller sent along. */
  readonly meta: Meta
  /** Makers of the declared errors: `throw errors.UNKNOWN_SKU({ sku })`. */
  readonly errors: ErrorMakers<P>
}

/** A handler's upload, where the stream has one. */
export type UploadContext<S extends Stream> = S['upload'] extends AnySchema
  ? { readonly upload: AsyncIterable<OutputOf<S['upload']>> }
  : unknown

/** Answers a procedure. */
export type ProcedureHandler<P extends Procedure, Given = unknown> = (
  input: HandlerInput<P>,
  context: HandlerContext<P> & Given,
) => HandlerOutput<P> | Promise<HandlerOutput<P>>

/** Answers a stream: yields its values, or returns the only one. */
export type StreamHandler<S extends Stream, Given = unknown> = (
  input: HandlerInput<S>,
  context: HandlerContext<S> & UploadContext<S> & Given,
) => AsyncIterable<HandlerOutput<S>> | Generator<HandlerOutput<S>> | Promise<HandlerOutput<S>>

/** One handler for each procedure and stream of a contract. `Given`: what middleware adds to their context. */
export type Handlers<C extends Contract, Given = unknown> = {
  readonly [K in keyof C as C[K] extends Procedure | Stream ? K : never]: C[K] extends Procedure
    ? ProcedureHandler<C[K], Given>
    : C[K] extends Stream
      ? StreamHandler<C[K], Given>
      : never
}

type Callable<Input, Options, Result> = undefined extends Input
  ? (input?: Input, options?: Options) => Result
  : (input: Input, options?: Options) => Result

/** A contract's procedures and streams as methods. */
export type Client<C extends Contract> = {
  readonly [K in keyof C as C[K] extends Procedure | Stream ? K : never]: C[K] extends Procedure
    ? Callable<CallerInput<C[K]>, CallOptions, Promise<CallerOutput<C[K]>>>
    : C[K] extends Stream
      ? StreamMethod<C[K]>
      : never
}

/** A stream's method: iterate over what it returns; one with an upload can also be awaited for its only value. */
export type StreamMethod<S extends Stream> = S['upload'] extends AnySchema
  ? (
      input: CallerInput<S>,
      options: CallOptions & { readonly upload: Uploadable<InputOf<S['upload']>> },
    ) => UploadCall<CallerOutput<S>>
  : Callable<CallerInput<S>, CallOptions, AsyncIterableIterator<CallerOutput<S>>>

/** What can be uploaded. */
export type Uploadable<T> = AsyncIterable<T> | Iterable<T>

/** A running stream with an upload: `await` it for its only value, or iterate over its values. */
export interface UploadCall<T>
  extends AsyncIterableIterator<T>,
    Pick<Promise<T>, 'then' | 'catch' | 'finally'> {}

/** What to do with a value for a subscriber whose queue is full. */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'disconnect'

/** How a subscriber gets its values. */
export interface SubscribeOptions {
  /** How many values may wait while the subscriber is still busy with one. Default 1000 */
  readonly limit?: number | undefined
  /** What to do with the next one then: drop the oldest that waits, drop the new one, or end the subscription. Default `drop-oldest` */
  readonly overflow?: Overflow | undefined
}

/** What a subscriber knows about a value. */
export interface Delivery {
  /** Who published it. */
  readonly from: PeerInfo
  /** For a retained topic: how many values there have been, this one included. Else 0. */
  readonly version: number
  /** Whether it was published before this subscription began, and kept for it. */
  readonly retained: boolean
}

/** A running subscription: call it to end it. */
export interface Subscription {
  (): void
  /** Values that were dropped because the subscriber did not keep up. */
  readonly dropped: number
}

/** A subscription to iterate over: leaving the loop ends it. */
export interface SubscriptionIterable<T> extends AsyncIterableIterator<T> {
  /** Values that were dropped because the loop did not keep up. */
  readonly dropped: number
}

/** A contract's procedures, each called on every ready worker. */
export type GatherClient<C extends Contract> = {
  readonly [K in keyof C as C[K] extends Procedure ? K : never]: C[K] extends Procedure
    ? Callable<CallerInput<C[K]>, GatherOptions, Promise<Receipt<CallerOutput<C[K]>>>>
    : never
}

/** How a gather differs from what its procedure says. */
export interface GatherOptions extends CallOptions {
  /**
   * Resolve as soon as so many have answered, and cancel the calls to the others. Where there are not so many members, all are waited for,
   * and `ended` is not `quorum`. Default: wait for all
   */
  readonly quorum?: number | undefined
  /** Resolve with the first answer, as `quorum: 1` does; not to be given beside it. Default `false` */
  readonly first?: boolean | undefined
}

/** What became of one member's share of a broadcast or gather. */
export type Outcome<T> =
  /** Its subscribers have run, or its handler has answered with `value`. */
  | { readonly member: PeerInfo; readonly status: 'applied'; readonly value: T }
  /** A subscriber or the handler threw. */
  | { readonly member: PeerInfo; readonly status: 'failed'; readonly error: Error }
  /** It died before it answered. */
  | { readonly member: PeerInfo; readonly status: 'exited' }
  /** It lives but did not answer in time. */
  | { readonly member: PeerInfo; readonly status: 'timed-out' }
  /** It has no subscriber to the topic, or no handler for the procedure. */
  | { readonly member: PeerInfo; readonly status: 'no-subscriber' }
  /** Others had answered before it, and so many were enough. */
  | { readonly member: PeerInfo; readonly status: 'cancelled' }

/** Why a broadcast or gather was over: everyone was settled, enough had answered, or time was up. */
export type ReceiptEnd = 'complete' | 'quorum' | 'first' | 'timeout'

/** What became of a broadcast or gather, member by member. */
export interface Receipt<T = undefined> extends Iterable<Outcome<T>> {
  readonly outcomes: readonly Outcome<T>[]
  readonly ended: ReceiptEnd
  /**
   * Whether no member that lives missed it: each outcome is `applied`, `exited` or `no-subscriber`. So it is true as well when nobody was there;
   * `values` says how many have answered.
   */
  readonly ok: boolean
  /** The values of those that applied it. */
  readonly values: readonly T[]
}

export type { Contract, Member, Members, Named, Procedure, Stream, Topic }
