// Errors across a boundary: what went wrong here becomes a Failure, and a Failure becomes an error of errors.ts there.

import {
  CallTooDeepError,
  CancelledError,
  ClusterwireError,
  DeadlineExceededError,
  DeclaredError,
  DrainingError,
  type ErrorDetails,
  FrameTooLargeError,
  HandlerError,
  IncompatibleError,
  InvalidRequestError,
  InvalidResponseError,
  InvalidValueError,
  NoWorkerError,
  OverloadedError,
  PeerClosedError,
  ProtocolError,
  UnimplementedError,
  WorkerLostError,
} from './errors.js'
import type { Failure, Thrown } from './frames.js'
import type { SchemaIssue } from './schema.js'
import { attempt, continueStack, cut, readThrown, reviveThrown, withoutData } from './thrown.js'

/** An error about a value, as one that names the procedure (or topic) which the value was for. */
export function nameProcedure(procedure: string, error: unknown): unknown {
  const own = attempt(() => (error instanceof ClusterwireError ? error : undefined))
  if (own === undefined) return error
  const text = `${procedure}: ${own.message}`
  const details = { procedure, ...('cause' in own && { cause: own.cause }) }
  if (own instanceof InvalidValueError) return new InvalidValueError(text, details)
  if (own instanceof FrameTooLargeError)
    return new FrameTooLargeError(text, { ...details, size: own.size, limit: own.limit })
  return own
}

/** Describes what validating, encoding or a subscriber threw: an error of ours speaks for itself, anything else came out of a user's code. */
export function describe(error: unknown, stacks: boolean): Failure {
  // One of ours may have been tampered with, or be behind a proxy.
  return (
    attempt(() => (error instanceof ClusterwireError ? describeError(error) : undefined)) ??
    describeThrown(error, stacks)
  )
}

/**
 * Tells a failure, or as much of it as can be sent: when its parts can't be, all but the data of what was thrown; else its message.
 *
 * @param tell throws when what it is given can't be sent
 */
export function tellSafely(failure: Failure, tell: (failure: Failure) => void): void {
  const { thrown } = failure
  const shorter = thrown === undefined ? [] : [{ ...failure, thrown: withoutData(thrown) }]
  let why: unknown
  for (const one of [failure, ...shorter]) {
    try {
      return tell(one)
    } catch (error) {
      why ??= error
    }
  }
  tell(withoutDetails(failure, why))
}

/** What is left of a failure when its details can't be sent. */
function withoutDetails({ message }: Failure, error: unknown): Failure {
  const why = error instanceof Error ? error.message : 'they can not be encoded'
  return {
    code: 'HANDLER_ERROR',
    message: `${message.slice(0, 1024)} (its details could not be sent: ${why})`,
  }
}

/** Describes one of our own errors, which says by itself what went wrong. */
export function describeError(error: ClusterwireError): Failure {
  return { code: error.code, message: error.message, data: dataOf(error) }
}

/**
 * Describes what a handler threw, whatever it is: `HANDLER_ERROR`, even when it is an error of ours. (A handler whose own call
 * found no worker has run, and its caller must not take that for "nothing has run".) Only that calls go in a circle is passed on as it is:
 * it is about the whole chain, and would else be buried under an error for each of its links.
 *
 * @param stacks whether stack traces may be told
 */
export function describeThrown(value: unknown, stacks: boolean): Failure {
  const thrown = readThrown(value, stacks)
  const isCircle = attempt(() => value instanceof CallTooDeepError) ?? false
  return { code: isCircle ? 'CALL_TOO_DEEP' : 'HANDLER_ERROR', message: thrown.message, thrown }
}

/** What a declared error says, its data valid. */
export interface Declared {
  readonly code: string
  readonly data: unknown
  readonly message: string
}

/**
 * Describes an error that the contract declares.
 *
 * @param value the error as it was thrown
 * @param stacks whether stack traces may be told
 */
export function describeDeclared(
  { code, data, message }: Declared,
  value: unknown,
  stacks: boolean,
): Failure {
  const { data: _, ...thrown } = readThrown(value, stacks)
  const failure = { code, data, message: cut(String(message)) }
  return thrown.stack === undefined && thrown.cause === undefined ? failure : { ...failure, thrown }
}

/** The fields that some of our errors have besides a message. */
function dataOf(error: ClusterwireError): unknown {
  if (error instanceof DeclaredError) return error.data
  if (error instanceof InvalidRequestError || error instanceof InvalidResponseError)
    return error.issues.map(plainIssue)
  if (error instanceof WorkerLostError) return error.started
  if (error instanceof OverloadedError || error instanceof NoWorkerError) return error.retryAfter
  if (error instanceof FrameTooLargeError) return { size: error.size, limit: error.limit }
  return undefined
}

/** An issue without what can't cross: schemas put all sorts of things beside message and path. */
function plainIssue({ message, path }: SchemaIssue): SchemaIssue {
  if (path === undefined) return { message }
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part))
  return { message, path: keys.map((key) => (typeof key === 'symbol' ? String(key) : key)) }
}

/** The classes that need nothing but a message, by code. */
const PLAIN = new Map<string, new (message: string, details: ErrorDetails) => ClusterwireError>([
  ['CANCELLED', CancelledError],
  ['DEADLINE_EXCEEDED', DeadlineExceededError],
  ['DRAINING', DrainingError],
  ['INCOMPATIBLE', IncompatibleError],
  ['INVALID_VALUE', InvalidValueError],
  ['CALL_TOO_DEEP', CallTooDeepError],
  ['PEER_CLOSED', PeerClosedError],
  ['PROTOCOL_ERROR', ProtocolError],
  ['UNIMPLEMENTED', UnimplementedError],
])

/**
 * Makes the caller's error of what came over the wire. Its stack goes on where the handler's error was thrown, if that was sent. Its cause
 * is what the handler threw, with its own name, code, data, stack and causes; or, where it stands itself for what the handler threw (it
 * is declared, or `CALL_TOO_DEEP`), the cause that the handler gave.
 *
 * @param received a Failure, or what a broken peer sent in its place
 * @param procedure what was called
 * @param who the peer that answered, as a message names it
 */
export function reviveFailure(received: unknown, procedure: string, who: string): ClusterwireError {
  const failure = (received ?? {}) as Partial<Failure>
  const error = revive(failure, procedure, who)
  if (failure.thrown !== undefined) continueStack(error, who, failure.thrown)
  return error
}

function revive(failure: Partial<Failure>, procedure: string, who: string): ClusterwireError {
  const { code, message, data, thrown } = failure
  const text = String(message)
  const details: ErrorDetails = { procedure, ...causedBy(thrown?.cause) }
  const Plain = PLAIN.get(code ?? '')
  if (Plain !== undefined) return new Plain(text, details)
  switch (code) {
    case 'INVALID_REQUEST':
      return new InvalidRequestError(text, { ...details, issues: asIssues(data) })
    case 'INVALID_RESPONSE':
      return new InvalidResponseError(text, { ...details, issues: asIssues(data) })
    case 'WORKER_LOST':
      return new WorkerLostError(text, { ...details, started: data === 'no' ? 'no' : 'unknown' })
    case 'OVERLOADED':
      return new OverloadedError(text, { ...details, ...asRetryAfter(data) })
    case 'NO_WORKER':
      return new NoWorkerError(text, { ...details, ...asRetryAfter(data) })
    case 'FRAME_TOO_LARGE':
      return new FrameTooLargeError(text, { size: 0, limit: 0, ...details, ...(data as object) })
    case undefined:
    case 'HANDLER_ERROR': {
      const name = thrown?.name === undefined || thrown.name === 'Error' ? '' : `${thrown.name}: `
      return new HandlerError(`${procedure} failed on ${who}: ${name}${text}`, {
        procedure,
        ...causedBy(thrown),
      })
    }
    default:
      return new DeclaredError(code, data, { ...details, message: text })
  }
}

function causedBy(thrown: Thrown | undefined): { readonly cause?: Error } {
  return thrown === undefined ? {} : { cause: reviveThrown(thrown) }
}

// Another process may send anything.

function asRetryAfter(data: unknown): { readonly retryAfter?: number } {
  return typeof data === 'number' ? { retryAfter: data } : {}
}

function asIssues(data: unknown): SchemaIssue[] {
  return Array.isArray(data) ? data.filter((issue) => typeof issue?.message === 'string') : []
}
