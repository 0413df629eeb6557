// Where a call was made: for the stack of the error that it fails with, which otherwise ends in the socket.

import { ClusterwireError } from './errors.js'

/** The stack above the place where a user called us. Its text is made when it is looked at. */
export interface CallSite {
  readonly stack?: string
}

/** Notes the place that called `ours`. Costs some microseconds. */
export function captureSite(ours: (...args: never[]) => unknown): CallSite {
  const site = {}
  Error.captureStackTrace(site, ours)
  return site
}

/** Lets the stack of an error of ours show the place instead of our own insides. */
export function showSite(error: unknown, site: CallSite | undefined): void {
  if (site?.stack === undefined || !(error instanceof ClusterwireError)) return
  error.stack = `${error.name}: ${error.message}${site.stack.slice(site.stack.indexOf('\n'))}`
}
