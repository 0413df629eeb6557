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

/** How deep a chain of causes is told. */
const MAX_CAUSES = 8

/** Longer texts are cut: a message is for people. */
const MAX_TEXT = 8 * 1024

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

/** What is left of a failure when its details can't be sent. */
export function withoutDetails({ message }: Failure, error: unknown): Failure {
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
 * found no worker has run, and its caller must not take that for "nothing has run".)
 *
 * @param stacks whether stack traces may be told
 */
export function describeThrown(value: unknown, stacks: boolean): Failure {
  const thrown = readThrown(value, stacks, 0)
  return { code: 'HANDLER_ERROR', message: thrown.message, thrown }
}

/** Reads what can be read. Never throws: the value may be a string, a proxy, or an error whose getters throw. */
function readThrown(value: unknown, stacks: boolean, depth: number): Thrown {
  const isError = attempt(() => value instanceof Error) ?? false
  if (!isError)
    return {
      name: 'Error',
      message: cut(attempt(() => String(value)) ?? '(something that can not be turned into text)'),
    }
  const read = (key: string) => attempt(() => (value as unknown as Record<string, unknown>)[key])
  const text = (key: string) => {
    const found = read(key)
    return typeof found === 'string' ? cut(found) : undefined
  }
  const [code, cause] = [read('code'), depth < MAX_CAUSES ? read('cause') : undefined]
  const stack = stacks ? text('stack') : undefined
  return {
    name: text('name') ?? 'Error',
    message: text('message') ?? '(its message can not be read)',
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause: readThrown(cause, stacks, depth + 1) }),
  }
}

function attempt<T>(get: () => T): T | undefined {
  try {
    return get()
  } catch {
    return undefined // What was thrown is hostile or broken: that this part can't be told is all there is to say about it.
  }
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** The fields that some of our errors have besides a message. */
function dataOf(error: ClusterwireError): unknown {
  if (error instanceof DeclaredError) return error.data
  if (error instanceof InvalidRequestError || error instanceof InvalidResponseError)
    return error.issues.map(plainIssue)
  if (error instanceof WorkerLostError) return error.started
  if (error instanceof OverloadedError) return error.retryAfter
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
  ['NO_WORKER', NoWorkerError],
  ['CALL_TOO_DEEP', CallTooDeepError],
  ['PEER_CLOSED', PeerClosedError],
  ['PROTOCOL_ERROR', ProtocolError],
  ['UNIMPLEMENTED', UnimplementedError],
])

/**
 * Makes the caller's error of what came over the wire. What the handler threw is its `cause`, with its own name, code and stack.
 *
 * @param received a Failure, or what a broken peer sent in its place
 * @param procedure what was called
 * @param who the peer that answered, as a message names it
 */
export function reviveFailure(received: unknown, procedure: string, who: string): ClusterwireError {
  const { code, message, data, thrown } = (received ?? {}) as Partial<Failure>
  const details = { procedure, ...(thrown === undefined ? {} : { cause: reviveThrown(thrown) }) }
  const text = String(message)
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
      return new OverloadedError(text, {
        ...details,
        ...(typeof data === 'number' && { retryAfter: data }),
      })
    case 'FRAME_TOO_LARGE':
      return new FrameTooLargeError(text, { size: 0, limit: 0, ...details, ...(data as object) })
    case undefined:
    case 'HANDLER_ERROR': {
      const name = thrown?.name === undefined || thrown.name === 'Error' ? '' : `${thrown.name}: `
      return new HandlerError(`${procedure} failed on ${who}: ${name}${text}`, details)
    }
    default:
      return new DeclaredError(code, data, { ...details, message: text })
  }
}

function reviveThrown({ name, message, code, stack, cause }: Thrown): Error {
  const error = new Error(message, cause === undefined ? {} : { cause: reviveThrown(cause) })
  error.name = String(name)
  error.stack = stack ?? `${error.name}: ${error.message}\n    (its stack was not sent)`
  if (code !== undefined) Object.defineProperty(error, 'code', { value: code, enumerable: true })
  return error
}

/** Another process may send anything. */
function asIssues(data: unknown): SchemaIssue[] {
  return Array.isArray(data) ? data.filter((issue) => typeof issue?.message === 'string') : []
}
