// What peers can say to each other: procedures, streams and topics, gathered in a contract that every process imports.

import { InvalidContractError } from './errors.js'
import type { AnySchema } from './schema.js'

/** One request, one answer. Made by {@link procedure}. */
export interface Procedure<
  I extends AnySchema | undefined = AnySchema | undefined,
  O extends AnySchema | undefined = AnySchema | undefined,
  E extends ErrorSchemas = ErrorSchemas,
> {
  readonly kind: 'procedure'
  readonly input: I
  readonly output: O
  readonly errors: E
  readonly idempotent: boolean
  readonly timeout: number
  readonly concurrency: number
  readonly queue: QueueLimits
}

/** How many calls (or streams) may wait, and how long: at a worker that runs as many as it may, or here until a worker is ready. */
export interface QueueLimits {
  /** Calls that may wait. The next one fails with `OVERLOADED` at once. Default 1000 */
  readonly limit: number
  /** Milliseconds that one may wait. Then it fails with `OVERLOADED`, or with `NO_WORKER` when none was ready. Default 5 000 */
  readonly timeout: number
}

/** One request, many values in either direction. Made by {@link stream}. */
export interface Stream<
  I extends AnySchema | undefined = AnySchema | undefined,
  U extends AnySchema | undefined = AnySchema | undefined,
  O extends AnySchema | undefined = AnySchema | undefined,
  E extends ErrorSchemas = ErrorSchemas,
> {
  readonly kind: 'stream'
  readonly input: I
  readonly upload: U
  readonly output: O
  readonly errors: E
  readonly timeout: number
  readonly concurrency: number
  readonly queue: QueueLimits
}

/** A channel that any peer publishes on and any peer listens to. Made by {@link topic}. */
export interface Topic<S extends AnySchema = AnySchema> {
  readonly kind: 'topic'
  readonly schema: S
  readonly retain: boolean
}

/** Errors that a procedure declares: a code, and the schema of the data it carries. */
export type ErrorSchemas = Readonly<Record<string, AnySchema>>

/** What a contract can hold. */
export type Member = Procedure | Stream | Topic

/** A member under its full name, `<contract>.<member>`: what `contract()` makes of each of its members. */
export type Named<M extends Member> = M & { readonly name: string }

/** A named set of members. Its members are its properties; its own name stands under a symbol, so that it can't clash with one. */
export type Contract<M extends Members = Members> = {
  readonly [K in keyof M]: Named<M[K]>
} & { readonly [contractName]: string }

/** The members that a contract is made of. */
export type Members = Readonly<Record<string, Member>>

/** The key under which a contract carries its own name. */
export const contractName: unique symbol = Symbol.for('clusterwire.contract')

/** What the full names of Clusterwire's own procedures begin with. */
export const OWN_NAMES = 'clusterwire.'

/** The longest that a call waits when neither it nor its procedure says otherwise, in milliseconds. */
export const DEFAULT_TIMEOUT = 30_000

/** The longest timeout there is, in milliseconds: what a 32-bit timer can hold (24.8 days). */
export const MAX_TIMEOUT: number = 2 ** 31 - 1

/** Whether a call can take so many milliseconds. */
export function isTimeout(ms: unknown): ms is number {
  return typeof ms === 'number' && ms > 0 && ms <= MAX_TIMEOUT
}

/** The codes of errors.ts: a declared error with one of these could not be told from Clusterwire's own. */
const OWN_CODES = new Set(
  'CALL_TOO_DEEP CANCELLED DEADLINE_EXCEEDED DRAINING FRAME_TOO_LARGE HANDLER_ERROR INCOMPATIBLE INVALID_CONTRACT INVALID_OPTION INVALID_REQUEST INVALID_RESPONSE INVALID_VALUE NOT_IN_CLUSTER NOT_PRIMARY NO_WORKER OVERLOADED PEER_CLOSED PROTOCOL_ERROR UNIMPLEMENTED WORKER_BOOT WORKER_LOST'.split(
    ' ',
  ),
)

/** Names that would break the typed client: a promise's own, an object's own, and what inspection and JSON look for. */
const RESERVED = new Set(
  'then catch finally constructor prototype __proto__ toString toJSON valueOf toLocaleString hasOwnProperty isPrototypeOf propertyIsEnumerable inspect asymmetricMatch nodeType $$typeof'.split(
    ' ',
  ),
)

/**
 * A maker's option as it was given, and never as the place that the result goes to would have it: what was left out stays left out. `NoInfer`
 * says the same, but what is wrapped in it counts as another type, all of whose members the compiler works out again.
 */
type Given<S extends AnySchema | undefined> = [S] extends [infer Same extends AnySchema | undefined]
  ? Same
  : never

type GivenErrors<E extends ErrorSchemas> = [E] extends [infer Same extends ErrorSchemas]
  ? Same
  : never

/**
 * Creates a procedure: one request, one answer.
 *
 * @param options.input schema of the request; without one, callers pass nothing
 * @param options.output schema of the answer; without one, callers get `undefined`
 * @param options.errors declared errors, by code, with the schema of each one's data
 * @param options.idempotent whether running it twice does no harm, which allows a second attempt on another peer. Default `false`
 * @param options.timeout milliseconds that a call may take. Default 30 000
 * @param options.concurrency how many calls each worker runs at once; one that another handler makes is run at once all the same, since it may
 *   be what those who run are waiting for. Default: no limit
 * @param options.queue how many calls may wait, and how long. Default 1000, and 5 000 ms
 * @throws InvalidContractError when an option is not usable
 */
export function procedure<
  const I extends AnySchema | undefined = undefined,
  const O extends AnySchema | undefined = undefined,
  const E extends ErrorSchemas = Record<never, never>,
>(
  options: {
    readonly input?: I
    readonly output?: O
    readonly errors?: E
    readonly idempotent?: boolean
    readonly timeout?: number
    readonly concurrency?: number
    readonly queue?: Partial<QueueLimits>
  } = {},
): Procedure<Given<I>, Given<O>, GivenErrors<E>> {
  checkSchema('procedure', 'input', options.input)
  checkSchema('procedure', 'output', options.output)
  return Object.freeze({
    kind: 'procedure',
    input: options.input as Given<I>,
    output: options.output as Given<O>,
    errors: checkErrors('procedure', options.errors) as GivenErrors<E>,
    idempotent: options.idempotent ?? false,
    timeout: checkTimeout('procedure', options.timeout),
    ...checkLimits('procedure', options),
  })
}

/**
 * Creates a stream: one request, then values in one direction or both.
 *
 * @param options.input schema of the request that opens it
 * @param options.upload schema of each value that the caller sends, or `bytes()`; without one, the caller sends none
 * @param options.output schema of each value that the handler yields (or of the one that it returns), or `bytes()`
 * @param options.errors declared errors, by code, with the schema of each one's data
 * @param options.timeout milliseconds that the whole stream may take. Default none: a stream lives until an end leaves it
 * @param options.concurrency how many of them each worker runs at once; one that another handler opens is run at once all the same.
 *   Default: no limit
 * @param options.queue how many may wait to be opened, and how long. Default 1000, and 5 000 ms
 * @throws InvalidContractError when an option is not usable
 */
export function stream<
  const I extends AnySchema | undefined = undefined,
  const U extends AnySchema | undefined = undefined,
  const O extends AnySchema | undefined = undefined,
  const E extends ErrorSchemas = Record<never, never>,
>(
  options: {
    readonly input?: I
    readonly upload?: U
    readonly output?: O
    readonly errors?: E
    readonly timeout?: number
    readonly concurrency?: number
    readonly queue?: Partial<QueueLimits>
  } = {},
): Stream<Given<I>, Given<U>, Given<O>, GivenErrors<E>> {
  checkSchema('stream', 'input', options.input)
  checkSchema('stream', 'upload', options.upload)
  checkSchema('stream', 'output', options.output)
  return Object.freeze({
    kind: 'stream',
    input: options.input as Given<I>,
    upload: options.upload as Given<U>,
    output: options.output as Given<O>,
    errors: checkErrors('stream', options.errors) as GivenErrors<E>,
    timeout: options.timeout === undefined ? 0 : checkTimeout('stream', options.timeout),
    ...checkLimits('stream', options),
  })
}

/**
 * Creates a topic: values that any peer may publish and any peer may listen to.
 *
 * @param schema schema of each value
 * @param options.retain keeps the last value for peers that join later. Default `false`
 * @throws InvalidContractError when the schema is not one
 */
export function topic<const S extends AnySchema>(
  schema: S,
  options: { readonly retain?: boolean } = {},
): Topic<S> {
  if (schema === undefined) throw new InvalidContractError('topic(schema) needs a schema')
  checkSchema('topic', 'schema', schema)
  return Object.freeze({ kind: 'topic', schema, retain: options.retain ?? false })
}

/**
 * Creates a contract: gives each member its full name, `<name>.<member>`.
 *
 * @param name names the contract across the cluster: letters, digits, `_`, `-`, and `.` between parts
 * @throws InvalidContractError when a name can't be one
 */
export function contract<const M extends Members>(name: string, members: M): Contract<M> {
  if (!/^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$/.test(name) || name.length > 128)
    throw new InvalidContractError(
      `contract(${JSON.stringify(name)}): a contract's name starts with a letter and has letters, digits, "_", "-" and "." only, 128 at most`,
    )
  const named: Record<PropertyKey, unknown> = { [contractName]: name }
  for (const [key, member] of Object.entries(members)) {
    if (!/^[A-Za-z_$][\w$]{0,126}$/.test(key) || RESERVED.has(key))
      throw new InvalidContractError(`contract "${name}": "${key}" can't be a member's name`)
    if (!['procedure', 'stream', 'topic'].includes((member as Member | undefined)?.kind ?? ''))
      throw new InvalidContractError(
        `contract "${name}": "${key}" must be made by procedure(), stream() or topic()`,
      )
    named[key] = Object.freeze({ ...member, name: `${name}.${key}` })
  }
  return Object.freeze(named) as Contract<M>
}

function checkSchema(maker: string, option: string, schema: AnySchema | undefined): void {
  if (schema === undefined || typeof schema?.['~standard']?.validate === 'function') return
  throw new InvalidContractError(
    `${maker}: "${option}" must be a schema (zod 4, or anything that implements Standard Schema), got ${typeof schema}`,
  )
}

function checkErrors(maker: string, errors: ErrorSchemas = {}): ErrorSchemas {
  for (const [code, schema] of Object.entries(errors)) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(code))
      throw new InvalidContractError(
        `${maker}: the error code "${code}" must be written LIKE_THIS (capitals, digits and "_")`,
      )
    if (OWN_CODES.has(code))
      throw new InvalidContractError(
        `${maker}: the error code "${code}" is one of Clusterwire's own; choose another`,
      )
    checkSchema(maker, `errors.${code}`, schema)
  }
  return errors
}

function checkTimeout(maker: string, timeout = DEFAULT_TIMEOUT): number {
  if (isTimeout(timeout)) return timeout
  throw new InvalidContractError(
    `${maker}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
  )
}

function checkLimits(
  maker: string,
  options: { readonly concurrency?: number; readonly queue?: Partial<QueueLimits> },
): { readonly concurrency: number; readonly queue: QueueLimits } {
  const { concurrency = Number.POSITIVE_INFINITY, queue = {} } = options
  return {
    concurrency: checkCount(maker, 'concurrency', concurrency),
    queue: Object.freeze({
      limit: checkCount(maker, 'queue.limit', queue.limit ?? 1_000),
      timeout: checkTimeout(maker, queue.timeout ?? 5_000),
    }),
  }
}

function checkCount(maker: string, option: string, count: number): number {
  if (count >= 1 && (Number.isInteger(count) || count === Number.POSITIVE_INFINITY)) return count
  throw new InvalidContractError(
    `${maker}: "${option}" must be a whole number, 1 or more, got ${String(count)}`,
  )
}
