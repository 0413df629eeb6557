// What a front tells about.

import type { Member } from '@clusterwire/core/peer'
import { PoisonedRequestError } from '../errors.js'
import type { Desk } from './desk.js'

/** A request that two workers were lost with. */
export interface PoisonedRequest {
  readonly method: string
  /** As the client sent it, with its query. */
  readonly url: string
  /** Empty when the request came with one of its own that is trusted. */
  readonly requestId: string
  /** The numbers of the workers that may have begun it, and were lost. */
  readonly workers: readonly number[]
}

/** What happens at a front. */
export interface FrontEvents {
  /** A request was running on two workers when they were lost: it is refused. Where nobody listens, `onError` is told. */
  poison: [request: PoisonedRequest]
}

/** A request, as far as it is told of. */
export type Told = Omit<PoisonedRequest, 'workers'>

/** Tells of a request that is refused because of the workers that were lost with it. */
export function tellOfPoison(
  { events, onError }: Desk,
  { method, url, requestId }: Told,
  lost: readonly Member[],
): void {
  const workers = lost.map(({ number }) => number)
  if (events.listenerCount('poison') === 0) {
    // The query may have what is nobody's business in a log.
    const path = url.replace(/\?.*/s, '')
    return onError(new PoisonedRequestError(method, path, workers), `${method} ${path}`)
  }
  try {
    events.emit('poison', { method, url, requestId, workers })
  } catch (error) {
    onError(error, 'a listener of "poison"')
  }
}
