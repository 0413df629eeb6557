// A client that keeps all that can be seen of an answer.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'

export interface Call {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Sends the body only when the server has asked for it. */
  readonly waits?: true
}

export interface Answer {
  readonly status: number | undefined
  readonly message: string | undefined
  /** Names and values as they came, in their order. */
  readonly headers: readonly string[]
  /** The body's text, or its length and sum when it is long. */
  readonly body: string
  /** The body's text, decoded. */
  readonly text: string
  readonly trailers: readonly string[]
  /** Informational responses ahead of it. */
  readonly interim: readonly unknown[]
  /** The connection was cut before the end. */
  readonly cut: boolean
}

const LONG = 1000
const SHARED = { keepAlive: true, maxSockets: 1 }

/** Sends requests to one port. */
export class Client {
  readonly port: number
  #agents: Agent[] = []
  #shared: Agent | undefined

  constructor(port: number) {
    this.port = port
  }

  /**
   * Sends a request on a connection of its own, which stays open until `close`: to an app that is still at the end of its response, a
   * client that has all it wants and hangs up looks like one that goes away.
   */
  async send(call: Call): Promise<Answer> {
    const agent = new Agent({ keepAlive: true })
    this.#agents.push(agent)
    return answerTo(this.begin(call, agent), call)
  }

  /** Sends a request on the same connection as the last one of this kind. */
  async again(call: Call): Promise<Answer & { readonly reused: boolean }> {
    this.#shared ??= new Agent(SHARED)
    this.#agents.push(this.#shared)
    const req = this.begin(call, this.#shared)
    return { ...(await answerTo(req, call)), reused: req.reusedSocket }
  }

  /** Begins a request, which is not ended. */
  begin({ path, method = 'GET', headers = {} }: Call, agent: Agent | false = false): ClientRequest {
    return request({ agent, path, method, headers, port: this.port, host: '127.0.0.1' })
  }

  /** Sends text as it is, and returns all that comes until the end. */
  async talk(text: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1').setEncoding('latin1')
    let received = ''
    socket.on('data', (more: string) => {
      received += more
    })
    socket.write(text)
    await once(socket, 'close')
    return received.replace(/^Date: .*\r\n/gim, 'Date: …\r\n')
  }

  /** Closes the connections that are open. */
  close(): void {
    for (const agent of this.#agents) agent.destroy()
    this.#agents = []
    this.#shared = undefined
  }
}

async function answerTo(req: ClientRequest, { body, waits }: Call): Promise<Answer> {
  const interim: unknown[] = []
  req.on('information', ({ statusCode, rawHeaders }) => interim.push([statusCode, rawHeaders]))
  if (waits) {
    req.flushHeaders()
    req.once('continue', () => req.end(body))
  } else req.end(body)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  let cut = false
  try {
    for await (const chunk of res) chunks.push(chunk as Buffer)
  } catch {
    cut = true
  }
  const bytes = Buffer.concat(chunks)
  return {
    ...{ status: res.statusCode, message: res.statusMessage, interim, cut },
    headers: res.rawHeaders.map(withoutVariables),
    body: digest(bytes),
    text: decoded(bytes, res.headers['content-encoding']),
    trailers: res.rawTrailers,
  }
}

/** Hides what may differ: the time, the names of sessions, and how long an idle connection is kept, which is up to the front. */
function withoutVariables(value: string, index: number, all: readonly string[]): string {
  if (index % 2 === 1 && all[index - 1]?.toLowerCase() === 'date') return '…'
  return value.replace(/^(sid|expires|timeout)=[^;]*/i, '$1=…')
}

function digest(bytes: Buffer): string {
  if (bytes.length <= LONG) return bytes.toString('latin1')
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`
}

function decoded(bytes: Buffer, encoding: string | undefined): string {
  const plain =
    encoding === 'gzip' && bytes.length > 0
      ? gunzipSync(bytes)
      : encoding === 'br'
        ? brotliDecompressSync(bytes)
        : bytes
  return plain.length <= LONG ? plain.toString() : `${plain.length} bytes`
}
