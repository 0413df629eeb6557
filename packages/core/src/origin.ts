// What a call inherits from the request that is being handled where it is made: its metadata, its depth, and its end.

import { onAbort } from './abort.js'
import { CallTooDeepError, CancelledError, InvalidOptionError } from './errors.js'
import type { IncomingExchange } from './incoming.js'
import type { CallOptions } from './infer.js'
import type { Origin } from './outgoing.js'
import type { Peer } from './peer.js'

/** How many calls may lead to one another. */
const MAX_DEPTH = 16

/** The request that is being handled where a call is made. What a handler leaves running after its answer is on its own. */
export function scopeOf({ scopes }: Peer): IncomingExchange | undefined {
  const scope = scopes.current
  return scope?.over === true && !scope.signal.aborted ? undefined : scope
}

/** What a call takes along from its options and from the request that is being handled. */
export function originOf(
  procedure: string,
  { meta }: CallOptions,
  scope: IncomingExchange | undefined,
): Origin | undefined {
  if (scope === undefined && meta === undefined) return undefined
  const depth = scope === undefined ? 0 : scope.depth + 1
  if (depth > MAX_DEPTH)
    throw new CallTooDeepError(
      `${procedure}: this would be call ${depth} in a chain of calls that handlers make; ${MAX_DEPTH} are allowed. Do two of them call each other?`,
      { procedure },
    )
  if (meta !== undefined) checkMeta(procedure, meta)
  return { depth, meta: { ...scope?.meta, ...meta } }
}

/** Those on whose behalf a call is made. */
interface Principals {
  readonly signal: AbortSignal | undefined
  readonly scope: IncomingExchange | undefined
}

/** What to fail with when one of them has given up already. */
export function givenUp(
  procedure: string,
  signal: AbortSignal | undefined,
  scope: IncomingExchange | undefined,
): CancelledError | undefined {
  if (signal?.aborted) return abortedBy(procedure, signal.reason)
  return scope?.over && scope.signal.aborted ? abortedBy(procedure, scope.signal.reason) : undefined
}

/** Calls `run` when one of them gives up; the function returned takes that back. */
export function onGivenUp(
  procedure: string,
  { signal, scope }: Principals,
  run: (error: CancelledError) => void,
): () => void {
  const forgetSignal = signal && onAbort(signal, () => run(abortedBy(procedure, signal.reason)))
  const forgetScope = scope?.onCancel((reason) => run(abortedBy(procedure, reason)))
  return () => {
    forgetSignal?.()
    forgetScope?.()
  }
}

function abortedBy(procedure: string, cause: unknown): CancelledError {
  return new CancelledError(`${procedure}: the caller aborted it`, { procedure, cause })
}

function checkMeta(procedure: string, meta: object): void {
  for (const [key, value] of Object.entries(meta))
    if (typeof value !== 'string' || key === '__proto__')
      throw new InvalidOptionError(
        `${procedure}: metadata must be strings by name, got ${typeof value} for "${key}"`,
        { procedure },
      )
}
