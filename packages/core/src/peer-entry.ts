export { type Candidate, Directory, type Member } from './directory.js'
export {
  type CalleeEvents,
  type CallerEvents,
  dataBytes,
  type Encode,
  type IncomingExchange,
  type OutgoingExchange,
  type Request,
} from './exchange.js'
export type { Frame, FrameHead } from './frames.js'
export { type ExchangeHandler, Peer, type PeerOptions } from './peer.js'
export { PIECE_BYTES, WINDOW_BYTES } from './streams.js'
export type { Clock, Link, LinkEvents } from './transport.js'
export { ByteReader, ByteWriter } from './transports/bytes.js'
export { decodeValue, encodeValue } from './transports/codec.js'
export { createLinkPair } from './transports/memory.js'
export { SocketLink } from './transports/socket.js'
