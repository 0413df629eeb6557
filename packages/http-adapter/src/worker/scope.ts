// What belongs to a request beside its bytes: until when it is wanted, and what the calls made for it inherit.

import type { IncomingMessage } from 'node:http'
import type { IncomingExchange, Peer } from '@clusterwire/core/peer'
import { REQUEST_ID } from '../wire.js'
import type { ClientSocket, RequestScope } from './client-socket.js'

/**
 * What an app can ask about one of its requests while it answers that, or while the connection is open that it has upgraded for it; `undefined`
 * for a request that did not come from a front, or that has been answered. What it calls through Clusterwire meanwhile inherits all of it, without
 * being told.
 */
export function requestScope({ socket }: IncomingMessage): RequestScope | undefined {
  return (socket as unknown as Partial<ClientSocket> | null)?.scope
}

/** Metadata that the calls made for a request carry: its id. `headers`: names and values in turn. */
export function metaOf(headers: readonly string[]): Readonly<Record<string, string>> {
  // Where the front has made the id, it is the last header.
  for (let at = headers.length - 2; at >= 0; at -= 2) {
    const name = headers[at] as string
    if (name === REQUEST_ID || name.toLowerCase() === REQUEST_ID)
      return { [REQUEST_ID]: headers[at + 1] as string }
  }
  return {}
}

/** A request that is given to the app. */
export interface Handover {
  readonly peer: Peer
  readonly exchange: IncomingExchange
}

/** Gives a request to the app. The calls that are made in there, and those that follow from it, are made for the request. */
export function runFor<H extends Handover>(handover: H, give: (handover: H) => void): void {
  const { peer, exchange } = handover
  const { scopes } = peer
  peer.handled++
  if (scopes.active) return scopes.run(exchange, () => give(handover))
  // Nobody makes calls yet. If the first client is made in there, it is in the request's scope at once.
  const outer = scopes.entered(exchange)
  try {
    give(handover)
  } finally {
    scopes.left(outer)
  }
}
