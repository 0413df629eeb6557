// What a front tells about.

import type { EventEmitter } from 'node:events'
import type { Member } from '@clusterwire/core/peer'
import { type OnError, PoisonedRequestError } from '../errors.js'

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

/** Who is told. */
export interface Told {
  readonly events: EventEmitter<FrontEvents>
  readonly onError: OnError
}

/** A request, as far as it is told of. */
export type Named = Omit<PoisonedRequest, 'workers'>

/** Tells of a request that is refused because of the workers that were lost with it. */
export function tellOfPoison(
  { events, onError }: Told,
  { method, url, requestId }: Named,
  lost: readonly Member[],
): void {
  const workers = lost.map(({ number }) => number)
  if (events.listenerCount('poison') === 0) {
    // The query may have what is nobody's business in a log.
    const path = url.replace(/\?.*/s, '')
    return onError(new PoisonedRequestError(method, path, workers), 'poison')
  }
  try {
    events.emit('poison', { method, url, requestId, workers })
  } catch (error) {
    onError(error, 'a listener of "poison"')
  }
}
