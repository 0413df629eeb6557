// The errors that the adapter gives to its user, beside those of the core.

import { ClusterwireError } from '@clusterwire/core'

/** Gets an error that has nobody else to go to, and where it came from. */
export type OnError = (error: unknown, where: string) => void

/** Tells the operator of an error, as the core does. */
export function printError(error: unknown, where: string): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`clusterwire: ${where}: ${text}\n`)
}

/** The front can't listen where it was told to. */
export class ListenError extends ClusterwireError {
  readonly code = 'LISTEN_FAILED' as const
  readonly port: number
  readonly host: string | undefined

  constructor(port: number, host: string | undefined, cause: NodeJS.ErrnoException) {
    super(`${place(port, host)} ${reasonOf(cause)}`, { cause })
    this.port = port
    this.host = host
  }
}

/** A request was running on two workers when they were lost, and is not given to a third. */
export class PoisonedRequestError extends ClusterwireError {
  readonly code = 'POISON' as const
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The numbers of the workers. */
  readonly workers: readonly number[]

  constructor(method: string, path: string, workers: readonly number[]) {
    super(
      `${method} ${path} was running on workers ${workers.join(' and ')} when each of them was lost; it is refused, and not tried again`,
    )
    this.method = method
    this.path = path
    this.workers = workers
    // Where it was made says nothing: the operator is to read one line.
    this.stack = `PoisonedRequestError: ${this.message}`
  }
}

/** This Node lacks something private that the adapter builds on. */
export class UnsupportedNodeError extends ClusterwireError {
  readonly code = 'UNSUPPORTED_NODE' as const
}

/** An app in a worker listens, and its primary has no `transparentFront()` that could do so in its place. */
export class NoTransparentFrontError extends ClusterwireError {
  readonly code = 'NO_TRANSPARENT_FRONT' as const
}

function place(port: number, host: string | undefined): string {
  return host === undefined ? `Port ${port}` : `Port ${port} of ${host}`
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'is in use already (EADDRINUSE): stop the program that listens there, or choose another port'
    case 'EACCES':
      return 'may not be used by this user (EACCES): choose one above 1023'
    case 'EADDRNOTAVAIL':
      return 'is not there (EADDRNOTAVAIL): this machine has no such address'
    default:
      return `can not be listened on: ${message}`
  }
}
