// An HTTP/2 client, and a front that it can talk to.
import type { RequestListener } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { cert, key } from './certificate.js'
import { type Setup, startCluster } from './cluster.js'

export interface Http2Answer {
  readonly headers: IncomingHttpHeaders & { ':status'?: number | undefined }
  readonly body: string
  readonly trailers: IncomingHttpHeaders
  readonly interim: readonly (string | undefined)[]
}

/** Collects an answer. Rejects when the stream is reset. */
export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let body = ''
    let headers: Http2Answer['headers'] = {}
    let trailers: IncomingHttpHeaders = {}
    const interim: string[] = []
    stream.on('headers', (more) => interim.push(`${more[':status']} ${more.link ?? ''}`))
    stream.on('response', (all) => {
      headers = all
    })
    stream.on('trailers', (all) => {
      trailers = all
    })
    stream.setEncoding('latin1').on('data', (chunk: string) => {
      body += chunk
    })
    stream.on('error', reject)
    stream.on('close', () => resolve({ headers, body, trailers, interim }))
  })
}

type App = (
  worker: Parameters<NonNullable<Parameters<typeof startCluster>[0]>>[0],
) => RequestListener

/** A cluster whose front answers on a server of one’s own, HTTP/2 over TLS, and a session with that. `own`: its port. */
export async function startHttp2(
  app: App | undefined,
  options: Parameters<typeof startCluster>[1] = {},
): Promise<Setup & { session: ClientHttp2Session; own: number }> {
  const setup = await startCluster(app, options)
  const { front } = setup
  const server = createSecureServer({ key, cert, allowHTTP1: true }, front.request)
  server.on('checkContinue', front.request).on('upgrade', front.upgrade)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  const session = connect(`https://127.0.0.1:${own}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  onTestFinished(() => {
    session.destroy()
    server.close()
  })
  return { ...setup, session, own }
}

/** Makes a request, and waits for its answer. */
export function send(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Http2Answer> {
  const stream = session.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}
