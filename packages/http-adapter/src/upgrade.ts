// How Node hands over a connection that is upgraded: the same on both sides.

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Takes over a connection: a listener for a server's event `upgrade`.
 *
 * @param socket the client's connection; whatever is to be answered, `101 Switching Protocols` too, is written to it
 * @param head what the client has sent behind the request already, often nothing
 */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Buffer) => void
