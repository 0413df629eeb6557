// What the front and a worker say to each other: the names, the flags, and how a request's head is laid out. Bytes only, by position:
// no schema is walked and nothing is escaped, because this is done for every request.
//
//    request     ┌───────┬────────────┬──────────────────┬───────┬─────────┬──────┬───── ─ ─
//    (open)      │ flags │ connection │ client, if new   │ count │ lengths │ text │ body
//                └───────┴────────────┴──────────────────┴───────┴─────────┴──────┴───── ─ ─
//                 u16     f64          CLIENT_BYTES       u32     u8 each   latin1
//
// The text is the strings' characters without anything between them: method, URL, the client's strings if it is new, then names and
// values of the headers in turn. A length of 255 stands for "the u32 behind me".

import { type ByteWriter, type Encode, Flag, type Frame } from '@clusterwire/core/peer'

/** The procedure that answers one request. */
export const REQUEST = 'http.request'

/** The procedure that takes over a connection that a client wants upgraded. Served by workers whose app listens to upgrades. */
export const UPGRADE = 'http.upgrade'

/** The procedure that is told of the end of a client's connection. Its request is the connection's number, a f64. */
export const CLOSED = 'http.closed'

/** Bits of a request's flags. */
export const RequestFlag = {
  /** The client speaks HTTP/1.0. */
  http10: 1,
  /** The connection may be used again. */
  keepAlive: 2,
  /** The client waits for `100 Continue` before it sends the body. */
  awaitsContinue: 4,
  /** The client expects something that is not `100-continue`. */
  expects: 8,
  /** The worker does not know the connection: who the client is follows. */
  introduces: 16,
  /** The connection ends with this request: nothing is to be remembered of it. */
  single: 32,
  /** The connection is encrypted. */
  encrypted: 64,
  /** The client's certificate was checked and is good. */
  authorized: 128,
  /** The request asks for an upgrade and has a body, which is not said on the upgraded connection but ahead of it. */
  body: 256,
} as const

/** Bits of the byte before a response's last bytes. */
export const ResponseFlag = {
  /** The connection is to be closed behind this response, complete or not. */
  last: 1,
  /** The app has reset the (upgraded) connection. */
  reset: 2,
} as const

/** What a data frame carries. */
export const Piece = {
  /** Bytes of the body (of a request), of the head and the body (of a response), of either side of an upgraded connection: they are the frame's (`Flag.raw`). */
  body: 0,

  // Anything else is told by the byte before it.

  /** A whole informational response: 100 Continue, 103 Early Hints. */
  interim: 1,
  /** The trailers of a request, laid out as headers are. On a connection that is upgraded: the end of the request's body, also without any. */
  trailers: 2,
  /** From the worker: the app has ended its side of an upgraded connection. */
  end: 3,
  /** From the front: an upgraded connection is to come to its end, politely. */
  goodbye: 4,
} as const

/** Which `Piece` a data frame carries. */
export function pieceOf(frame: Frame): number {
  return (frame.flags & Flag.raw) !== 0 ? Piece.body : (frame.bytes[frame.body] as number)
}

/** Where in a data frame it begins. */
export function pieceStart({ flags, body }: Frame): number {
  return (flags & Flag.raw) !== 0 ? body : body + 1
}

/** Who is at the other end of a client's connection, and of which. */
export interface ClientFacts {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly authorized: boolean
  /** The protocol that TLS agreed on, empty for none. */
  readonly alpnProtocol: string
  /** The name that the client gave TLS, empty for none. */
  readonly servername: string
  /** How long the front keeps an idle connection, in milliseconds. */
  readonly keepAliveTimeout: number
}

/** A request on its way out. */
export interface RequestToSend {
  readonly flags: number
  readonly connection: number
  /** Told with `RequestFlag.introduces`. */
  readonly client: ClientFacts
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  /** Added behind the headers; empty for none. */
  readonly requestId: string
  /** The whole body, when it goes along; else it follows in data frames, or there is none. */
  readonly body: Uint8Array | undefined
}

/** A request's head as it came in. */
export interface ReceivedHead {
  readonly flags: number
  readonly connection: number
  readonly client: ClientFacts | undefined
  readonly method: string
  readonly url: string
  readonly headers: string[]
  /** Where the body begins. */
  readonly end: number
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/** Whether running a request twice does no harm (RFC 9110, section 9.2.2). */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method)
}

/** The header by which a request is found again in logs. */
export const REQUEST_ID = 'x-request-id'

const LONG = 255
const CLIENT_NUMBERS = 2 + 2 + 4

/** Writes a request: its head, and its body when that goes along. */
export const encodeRequest: Encode<RequestToSend> = (out, request) => {
  const { flags, client, headers, requestId, body } = request
  const introduces = (flags & RequestFlag.introduces) !== 0
  out.u16(flags)
  out.f64(request.connection)
  const strings = 2 + (introduces ? 4 : 0) + headers.length + (requestId === '' ? 0 : 2)
  if (introduces) encodeNumbers(out, client)
  out.u32(strings)
  let text = length(out, request.method) + length(out, request.url)
  if (introduces) text += clientStrings(out, client)
  for (let i = 0; i < headers.length; i++) text += length(out, headers[i] as string)
  if (requestId !== '') text += length(out, REQUEST_ID) + length(out, requestId)
  latin1(out, text)
  if (body !== undefined) out.bytes(body)
}

/** Reads what {@link encodeRequest} wrote. */
export function decodeHead(bytes: Buffer, start: number): ReceivedHead {
  const flags = bytes.readUInt16LE(start)
  const introduces = (flags & RequestFlag.introduces) !== 0
  const numbers = start + 2 + 8
  const { strings, end } = decodeStrings(bytes, introduces ? numbers + CLIENT_NUMBERS : numbers)
  const known = introduces ? 6 : 2
  return {
    flags,
    connection: bytes.readDoubleLE(start + 2),
    client: introduces ? decodeClient(bytes, { at: numbers, flags, strings }) : undefined,
    method: strings[0] as string,
    url: strings[1] as string,
    headers: strings.slice(known),
    end,
  }
}

/** Writes a data frame that carries trailers. */
export const encodeTrailers: Encode<readonly string[]> = (out, trailers) => {
  out.u8(Piece.trailers)
  out.u32(trailers.length)
  let text = ''
  for (const one of trailers) text += length(out, one)
  latin1(out, text)
}

/** Reads the trailers behind a data frame's first byte. */
export function decodeTrailers(bytes: Buffer, start: number): string[] {
  return decodeStrings(bytes, start).strings
}

/** Writes a data frame that is nothing but its first byte. */
export const encodePieceType: Encode<number> = (out, type) => out.u8(type)

/** Writes the number of a connection. */
export const encodeNumber: Encode<number> = (out, value) => out.f64(value)

function encodeNumbers(out: ByteWriter, client: ClientFacts): void {
  out.u16(client.remotePort)
  out.u16(client.localPort)
  out.u32(client.keepAliveTimeout)
}

function clientStrings(out: ByteWriter, client: ClientFacts): string {
  return (
    length(out, client.remoteAddress) +
    length(out, client.localAddress) +
    length(out, client.alpnProtocol) +
    length(out, client.servername)
  )
}

function decodeClient(
  bytes: Buffer,
  { at, flags, strings }: { at: number; flags: number; strings: readonly string[] },
): ClientFacts {
  const [, , remoteAddress = '', localAddress = '', alpnProtocol = '', servername = ''] = strings
  return {
    remoteAddress,
    remotePort: bytes.readUInt16LE(at),
    localAddress,
    localPort: bytes.readUInt16LE(at + 2),
    encrypted: (flags & RequestFlag.encrypted) !== 0,
    authorized: (flags & RequestFlag.authorized) !== 0,
    alpnProtocol,
    servername,
    keepAliveTimeout: bytes.readUInt32LE(at + 4),
  }
}

/** Writes a string's length, and returns the string: joined to one text, all of them are written by one call. */
function length(out: ByteWriter, text: string): string {
  if (text.length < LONG) out.u8(text.length)
  else {
    out.u8(LONG)
    out.u32(text.length)
  }
  return text
}

function latin1(out: ByteWriter, text: string): void {
  out.ensure(text.length)
  out.position += out.buffer.write(text, out.position, 'latin1')
}

function decodeStrings(bytes: Buffer, start: number): { strings: string[]; end: number } {
  const count = bytes.readUInt32LE(start)
  const text = startOfText(bytes, start + 4, count)
  const strings = new Array<string>(count)
  const all = bytes.toString('latin1', text.start, text.end)
  let at = start + 4
  let from = 0
  for (let i = 0; i < count; i++) {
    let size = bytes[at++] as number
    if (size === LONG) {
      size = bytes.readUInt32LE(at)
      at += 4
    }
    strings[i] = all.slice(from, from + size)
    from += size
  }
  return { strings, end: text.end }
}

/** Walks over the lengths: where the text begins and ends. */
function startOfText(
  bytes: Buffer,
  lengths: number,
  count: number,
): { start: number; end: number } {
  let start = lengths
  let size = 0
  for (let i = 0; i < count; i++) {
    const one = bytes[start++] as number
    if (one === LONG) {
      size += bytes.readUInt32LE(start)
      start += 4
    } else size += one
  }
  return { start, end: start + size }
}
