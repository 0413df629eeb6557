// Takes a rendered HTTP/1.1 response apart again, for clients that are answered in another version. Only what a worker rendered comes
// here, piece by piece and cut anywhere: the head, then a body that is chunked, or counted, or goes on to the end.

/** What a response consists of, in this order. */
export interface ResponseParts {
  /** @param headers names and values in turn */
  onHead(status: number, headers: readonly string[]): void
  onBody(bytes: Buffer): void
  /** @param trailers names and values in turn */
  onTrailers(trailers: readonly string[]): void
}

/** What comes next. */
type State = 'head' | 'size' | 'chunk' | 'chunkEnd' | 'trailers' | 'counted' | 'open' | 'done'

const NO_BODY = new Set([204, 205, 304])
const NOTHING = Buffer.alloc(0)

/** More than any head that Node renders and any client accepts. */
const MAX_LINES_BYTES = 1024 * 1024

/** One response. */
export class ResponseDecoder {
  readonly #parts: ResponseParts
  readonly #isHead: boolean
  #state: State = 'head'
  /** Lines that have begun, and not ended. */
  #rest: Buffer = NOTHING
  /** Bytes of the chunk, or of the counted body, that are to come. */
  #left = 0

  /** @param isHead the request's method is HEAD: no body follows, whatever the head says */
  constructor(parts: ResponseParts, isHead: boolean) {
    this.#parts = parts
    this.#isHead = isHead
  }

  /** Whether nothing is missing, if these were all the bytes. */
  get complete(): boolean {
    return this.#state === 'done' || this.#state === 'open'
  }

  /** @throws Error when these are no bytes of a response */
  push(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length && this.#state !== 'done') at = this.#step(bytes, at)
  }

  /** Takes what can be taken of what is left; returns where to go on. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'chunk':
      case 'counted':
        return this.#take(bytes, at)
      case 'open':
        this.#parts.onBody(bytes.subarray(at))
        return bytes.length
      default:
        return this.#lines(bytes, at)
    }
  }

  #take(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#left -= end - at
    if (end > at) this.#parts.onBody(bytes.subarray(at, end))
    if (this.#left === 0) this.#state = this.#state === 'chunk' ? 'chunkEnd' : 'done'
    return end
  }

  /** Reads lines, which may have begun in an earlier piece. */
  #lines(bytes: Buffer, at: number): number {
    const before = this.#rest.length
    const all = before === 0 ? bytes.subarray(at) : Buffer.concat([this.#rest, bytes.subarray(at)])
    const mark = this.#endOfLines(all)
    const end = all.indexOf(mark)
    if (end < 0) {
      if (all.length > MAX_LINES_BYTES) throw new Error('A response has lines without end')
      this.#rest = all
      return bytes.length
    }
    this.#rest = NOTHING
    this.#read(all.toString('latin1', 0, end))
    return at + end + mark.length - before
  }

  #endOfLines(bytes: Buffer): string {
    if (this.#state === 'head') return '\r\n\r\n'
    // Where there are no trailers, there is an empty line only.
    return this.#state === 'trailers' && bytes[0] !== CR ? '\r\n\r\n' : '\r\n'
  }

  #read(text: string): void {
    if (this.#state === 'head') this.#head(text)
    else if (this.#state === 'trailers') this.#trailers(text)
    else if (this.#state === 'size') this.#size(text)
    else this.#state = 'size'
  }

  #head(text: string): void {
    const { status, headers } = parseHead(text)
    this.#parts.onHead(status, headers)
    if (this.#isHead || NO_BODY.has(status)) this.#state = 'done'
    else if (/\bchunked\b/i.test(findValue(headers, 'transfer-encoding') ?? ''))
      this.#state = 'size'
    else this.#count(findValue(headers, 'content-length'))
  }

  #count(length: string | undefined): void {
    if (length === undefined) this.#state = 'open'
    else {
      this.#left = Number(length)
      if (!(this.#left >= 0)) throw new Error(`A response has the length ${length}`)
      this.#state = this.#left === 0 ? 'done' : 'counted'
    }
  }

  #size(text: string): void {
    if (!/^[\da-f]{1,12}$/i.test(text)) throw new Error('A response has a chunk without a size')
    this.#left = Number.parseInt(text, 16)
    this.#state = this.#left === 0 ? 'trailers' : 'chunk'
  }

  #trailers(text: string): void {
    this.#state = 'done'
    if (text !== '') this.#parts.onTrailers(parseLines(text.split('\r\n')))
  }
}

const CR = 13

/** Reads a head, up to its last line's end. @throws Error when it is none */
export function parseHead(text: string): { status: number; headers: string[] } {
  const [first = '', ...lines] = text.split('\r\n')
  if (!/^HTTP\/1\.\d [1-9]\d\d/.test(first)) throw new Error('A response begins without a status')
  return { status: Number(first.slice(9, 12)), headers: parseLines(lines) }
}

function parseLines(lines: readonly string[]): string[] {
  return lines
    .filter((line) => line !== '')
    .flatMap((line) => {
      const colon = line.indexOf(':')
      if (colon < 1) throw new Error('A response has a header without a name')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
}

/** A header's value; `name` in lower case, as parsed names are. */
function findValue(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}
