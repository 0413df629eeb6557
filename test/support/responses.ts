// What came back on a connection, taken apart strictly: anything that is not exactly an HTTP/1.1 response is an error.

/** A response. */
export interface RawResponse {
  readonly status: number
  /** By their names in lower case; the last of a name. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Takes responses from the bytes of a connection. */
export class ResponseReader {
  readonly responses: RawResponse[] = []
  #rest = ''
  #upgraded = false

  /** What has come that is not a whole response, yet. */
  get rest(): string {
    return this.#rest
  }

  /** @throws Error when this can't be a response */
  take(bytes: Buffer): void {
    if (this.#upgraded) return
    this.#rest += bytes.toString('latin1')
    while (this.#one(false));
  }

  /** The connection has ended: so has a response without a length. @throws Error when one is cut */
  end(): void {
    while (this.#one(true));
    if (this.#rest !== '') throw new Error(`cut: ${JSON.stringify(this.#rest.slice(0, 300))}`)
  }

  #one(ended: boolean): boolean {
    const text = this.#rest
    if (text === '') return false
    if (!'HTTP/1.1 '.startsWith(text.slice(0, 9)))
      throw new Error(`no response: ${JSON.stringify(text.slice(0, 300))}`)
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return false
    const [first = '', ...lines] = text.slice(0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d) [\w ,'-]*$/.exec(first)?.[1])
    if (Number.isNaN(status)) throw new Error(`no status: ${JSON.stringify(first)}`)
    const headers = Object.fromEntries(lines.map(headerOf))
    const body = bodyOf({ status, headers, text, start: end + 4, ended })
    if (body === undefined) return false
    // What comes behind this is no HTTP.
    this.#upgraded = status === 101
    this.#rest = this.#upgraded ? '' : text.slice(body.end)
    this.responses.push({ status, headers, body: body.text })
    return true
  }
}

function headerOf(line: string): [string, string] {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+): ([^\r\n]*)$/.exec(line) ?? []
  if (name === undefined) throw new Error(`no header: ${JSON.stringify(line)}`)
  return [name.toLowerCase(), value as string]
}

interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  readonly start: number
  readonly ended: boolean
}

function bodyOf({ status, headers, text, start, ended }: Head) {
  const without =
    status < 200 || status === 204 || status === 304 || headers['echo-method'] === 'HEAD'
  if (without) return { text: '', end: start }
  const length = headers['content-length']
  if (length !== undefined) {
    const end = start + Number(length)
    return text.length < end ? undefined : { text: text.slice(start, end), end }
  }
  if (headers['transfer-encoding'] === 'chunked') return chunksOf(text, start)
  if (headers.connection !== 'close') throw new Error('a response without an end')
  return ended ? { text: text.slice(start), end: text.length } : undefined
}

function chunksOf(text: string, start: number) {
  let body = ''
  for (let at = start; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return undefined
    const digits = text.slice(at, line)
    if (!/^[\da-f]+$/i.test(digits)) throw new Error(`no chunk: ${JSON.stringify(digits)}`)
    const size = Number.parseInt(digits, 16)
    const end = line + 2 + size
    if (text.length < end + 2) return undefined
    body += text.slice(line + 2, end)
    at = end + 2
    if (size === 0) return { text: body, end: at }
  }
}
