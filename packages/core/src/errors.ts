// Every error that Clusterwire gives to its user: one class per meaning, told apart by a literal `code`.

import type { SchemaIssue } from './schema.js'

/** Options that each error's constructor takes. */
export interface ErrorDetails {
  readonly cause?: unknown
  /** The procedure, stream or topic that the error is about, `<contract>.<member>`. */
  readonly procedure?: string | undefined
}

/** The common parent. Tell errors apart by `code`: it survives process boundaries and bundlers, which `instanceof` may not. */
export abstract class ClusterwireError extends Error {
  abstract readonly code: string
  /** The procedure, stream or topic it is about, when it is about one. */
  readonly procedure: string | undefined

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.procedure = details.procedure
  }

  override get name(): string {
    return this.constructor.name
  }
}

/** A contract, procedure, stream or topic was declared wrongly. */
export class InvalidContractError extends ClusterwireError {
  readonly code = 'INVALID_CONTRACT' as const
}

/** An option has a value that it can't have. */
export class InvalidOptionError extends ClusterwireError {
  readonly code = 'INVALID_OPTION' as const
}

/** A value can't cross to another process: a function, a cycle, a getter that throws. */
export class InvalidValueError extends ClusterwireError {
  readonly code = 'INVALID_VALUE' as const
}

/** What is sent does not fit the procedure's input schema (or the topic's). Nothing has run. */
export class InvalidRequestError extends ClusterwireError {
  readonly code = 'INVALID_REQUEST' as const
  readonly issues: readonly SchemaIssue[]

  constructor(message: string, details: ErrorDetails & { issues: readonly SchemaIssue[] }) {
    super(message, details)
    this.issues = details.issues
  }
}

/** The handler's answer does not fit the procedure's output schema. The handler has run. */
export class InvalidResponseError extends ClusterwireError {
  readonly code = 'INVALID_RESPONSE' as const
  readonly issues: readonly SchemaIssue[]

  constructor(message: string, details: ErrorDetails & { issues: readonly SchemaIssue[] }) {
    super(message, details)
    this.issues = details.issues
  }
}

/** The handler threw something that its contract does not declare. */
export class HandlerError extends ClusterwireError {
  readonly code = 'HANDLER_ERROR' as const
}

/** The handler threw an error that its contract declares: `code` says which, `data` has passed that error's schema. */
export class DeclaredError<Code extends string = string, Data = unknown> extends ClusterwireError {
  readonly code: Code
  readonly data: Data

  constructor(
    code: Code,
    data: Data,
    details: ErrorDetails & { message?: string | undefined } = {},
  ) {
    super(details.message ?? code, details)
    this.code = code
    this.data = data
  }
}

/** Time ran out. The handler's signal has been aborted; whether it had run is not known. */
export class DeadlineExceededError extends ClusterwireError {
  readonly code = 'DEADLINE_EXCEEDED' as const
}

/** The caller's signal was aborted (its reason is the `cause`), or the caller left the stream. */
export class CancelledError extends ClusterwireError {
  readonly code = 'CANCELLED' as const
}

/** No peer serves this, or the one that was asked does not. */
export class UnimplementedError extends ClusterwireError {
  readonly code = 'UNIMPLEMENTED' as const
}

/** The peers that could answer are not there, or not ready. Nothing was sent. */
export class NoWorkerError extends ClusterwireError {
  readonly code = 'NO_WORKER' as const
  /** Milliseconds after which it makes sense to try again: a worker that died is replaced in about that time. */
  readonly retryAfter: number

  constructor(message: string, details: ErrorDetails & { retryAfter?: number } = {}) {
    super(message, details)
    this.retryAfter = details.retryAfter ?? 1_000
  }
}

/** The peer died, or its link was cut, before it answered. */
export class WorkerLostError extends ClusterwireError {
  readonly code = 'WORKER_LOST' as const
  /** `no`: the request certainly never reached a handler, and may be sent again. `unknown`: it may have run. */
  readonly started: 'no' | 'unknown'

  constructor(message: string, details: ErrorDetails & { started: 'no' | 'unknown' }) {
    super(message, details)
    this.started = details.started
  }
}

/** A queue is full, or its first in line has waited too long. Nothing has run. */
export class OverloadedError extends ClusterwireError {
  readonly code = 'OVERLOADED' as const
  /** Milliseconds after which it makes sense to try again. */
  readonly retryAfter: number

  constructor(message: string, details: ErrorDetails & { retryAfter?: number } = {}) {
    super(message, details)
    this.retryAfter = details.retryAfter ?? 1_000
  }
}

/** Handlers call each other in a circle, or too deep: the call would be the seventeenth in its chain. */
export class CallTooDeepError extends ClusterwireError {
  readonly code = 'CALL_TOO_DEEP' as const
}

/** One message is larger than a frame may be. Nothing was sent; the link goes on. */
export class FrameTooLargeError extends ClusterwireError {
  readonly code = 'FRAME_TOO_LARGE' as const
  /** Bytes that the frame would have had. */
  readonly size: number
  /** Bytes that a frame may have. */
  readonly limit: number

  constructor(message: string, details: ErrorDetails & { size: number; limit: number }) {
    super(message, details)
    this.size = details.size
    this.limit = details.limit
  }
}

/** The two peers' versions, of the protocol or of a contract, do not fit together. */
export class IncompatibleError extends ClusterwireError {
  readonly code = 'INCOMPATIBLE' as const
  /** The fields that differ, where it is a contract. */
  readonly issues: readonly SchemaIssue[]

  constructor(message: string, details: ErrorDetails & { issues?: readonly SchemaIssue[] } = {}) {
    super(message, details)
    this.issues = details.issues ?? []
  }
}

/** This peer is shutting down and takes no new work. */
export class DrainingError extends ClusterwireError {
  readonly code = 'DRAINING' as const
}

/** Bytes came in that no peer of ours sends. The link that brought them is closed. */
export class ProtocolError extends ClusterwireError {
  readonly code = 'PROTOCOL_ERROR' as const
  /** Where the frame begins, counted in bytes from the beginning of its link; where that is known. */
  readonly offset: number | undefined
  /** The frame's first 16 bytes, in hex; where they are known. */
  readonly bytes: string | undefined

  constructor(message: string, details: ErrorDetails & { offset?: number; bytes?: string } = {}) {
    super(message, details)
    this.offset = details.offset
    this.bytes = details.bytes
  }
}

/** This peer was closed: it neither sends nor receives any more. */
export class PeerClosedError extends ClusterwireError {
  readonly code = 'PEER_CLOSED' as const
}

/** A worker did not get ready: it exited, threw or hung first. */
export class WorkerBootError extends ClusterwireError {
  readonly code = 'WORKER_BOOT' as const
}

/** `startPrimary()` was called in a worker. */
export class NotPrimaryError extends ClusterwireError {
  readonly code = 'NOT_PRIMARY' as const
}

/** `joinCluster()` was called in a process that `startPrimary()` did not start. */
export class NotInClusterError extends ClusterwireError {
  readonly code = 'NOT_IN_CLUSTER' as const
}
