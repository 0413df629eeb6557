// What a worker has to know of a request beside its head, in bits.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { awaitsContinue, keepsAlive } from '../node-internals.js'
import { type ClientFacts, RequestFlag } from '../wire.js'

/** The flags of a request; which of its connection's workers know that is told later. */
export function flagsOf(req: IncomingMessage, res: ServerResponse, client: ClientFacts): number {
  let flags = keepsAlive(res) ? RequestFlag.keepAlive : RequestFlag.single
  if (req.httpVersionMinor === 0) flags |= RequestFlag.http10
  if (client.encrypted) flags |= RequestFlag.encrypted
  if (client.authorized) flags |= RequestFlag.authorized
  if (req.headers.expect === undefined) return flags
  if (awaitsContinue(res)) return flags | RequestFlag.awaitsContinue
  return /100-continue/i.test(req.headers.expect) ? flags : flags | RequestFlag.expects
}
