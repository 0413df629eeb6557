// What every app is asked, and what is certain about the answers. Everything else about them is compared, plain and behind the front.
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'vitest'
import type { Client } from './client.js'

export interface Exchange {
  /** What the app needs for it, beside what all apps have. */
  readonly needs?: string
  run(client: Client): Promise<unknown>
  /** What the result has to contain, with or without the front. */
  readonly sees?: object
  /** What has to be among the events that the app hears. */
  readonly hears?: string
  /** How events of the request and of the response are interleaved depends on how fast bytes come. */
  readonly freeTiming?: true
  /** Nobody reads the body to its end, and the connection is closed: whether the end still gets there is chance. */
  readonly unread?: true
  /** Its requests have to come to one worker. */
  readonly oneWorker?: true
}

const json = { 'Content-Type': 'application/json' }
const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
const site = { Origin: 'http://site.test' }
const NUMBERS = 18_893

/** A form with a field and a file. */
function multipart(size: number): { headers: Record<string, string>; body: Buffer } {
  const part = (head: string) => `--limit\r\nContent-Disposition: form-data; ${head}\r\n\r\n`
  const body = Buffer.concat([
    Buffer.from(`${part('name="title"')}Holiday\r\n`),
    Buffer.from(
      part('name="file"; filename="a.bin"').replace(
        '\r\n\r\n',
        '\r\nContent-Type: application/octet-stream\r\n\r\n',
      ),
    ),
    Buffer.alloc(size, '0123456789abcdef!'),
    Buffer.from('\r\n--limit--\r\n'),
  ])
  return { headers: { 'Content-Type': 'multipart/form-data; boundary=limit' }, body }
}

/** The value of a header in an answer. */
const header = ({ headers }: { readonly headers: readonly string[] }, name: string) =>
  headers[headers.findIndex((one, i) => i % 2 === 0 && one.toLowerCase() === name) + 1] ?? ''

/** Headers of which one has the value. */
const containing = (value: string) =>
  expect.toSatisfy((headers: readonly string[]) => headers.some((one) => one.endsWith(value)))

const get = (path: string, sees: object, headers?: Record<string, string>): Exchange => ({
  run: (client) => client.send({ path, ...(headers && { headers }) }),
  sees,
})

const post = (
  path: string,
  call: { headers: Record<string, string>; body: string | Buffer },
  sees: object,
): Exchange => ({
  run: (client) => client.send({ path, method: 'POST', ...call }),
  sees,
  freeTiming: true,
})

/** Asks twice: the second time with what the first answer gave. */
const twice = (
  path: string,
  next: (answer: Parameters<typeof header>[0]) => Record<string, string>,
): Exchange['run'] => {
  return async (client) => {
    const first = await client.send({ path })
    return [first, await client.send({ path, headers: next(first) })]
  }
}

const middleware: Record<string, Exchange> = {
  'a JSON response': get('/json', { status: 200, text: expect.stringContaining('umlaut') }),
  'HEAD of it': {
    run: (client) => client.send({ path: '/json', method: 'HEAD' }),
    sees: { status: 200, body: '' },
  },
  'its ETag matches': {
    needs: 'JSON ETag',
    run: twice('/json', (answer) => ({ 'If-None-Match': header(answer, 'etag') })),
    sees: [{ status: 200 }, { status: 304, body: '' }],
  },
  'text that is not ASCII': get('/text', { status: 200, text: 'grüße' }),
  'a redirect': get('/redirect', { status: 302 }),
  'a path that is not there': get('/nowhere', { status: 404 }),
  'an error that is thrown': get('/throws', { status: 418 }),
  'an error that a promise rejects with': get('/rejects', { status: 418 }),
  'cookies, there and back': get(
    '/cookies',
    { status: 200, text: expect.stringContaining('x=1; y=2') },
    { Cookie: 'x=1; y=2' },
  ),
  'a session in the server': {
    needs: 'server session',
    oneWorker: true,
    run: async (client) => {
      const { headers } = await new Promise<{ headers: NodeJS.Dict<string[]> }>((resolve) => {
        const req = client.begin({ path: '/session' }).end()
        req.on('response', (res) => {
          res.resume().on('end', () => resolve({ headers: res.headersDistinct }))
        })
      })
      const cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? ''
      return client.send({ path: '/session', headers: { Cookie: cookie } })
    },
    sees: { status: 200, text: expect.stringContaining('2') },
  },
  'a session in a cookie': {
    needs: 'cookie session',
    run: async (client) => {
      const first = await client.send({ path: '/flash' })
      const { headers } = first
      const cookies = headers.filter((_, i) => headers[i - 1]?.toLowerCase() === 'set-cookie')
      const Cookie = cookies.map((cookie) => cookie.split(';')[0]).join('; ')
      return [first, await client.send({ path: '/flash', headers: { Cookie } })]
    },
    sees: [{ status: 200 }, { status: 200, text: expect.stringContaining('2') }],
  },
  'CORS, a simple request': {
    run: (client) => client.send({ path: '/json', headers: site }),
    sees: {
      status: 200,
      headers: containing('http://site.test'),
    },
  },
  'CORS, a preflight': {
    run: (client) =>
      client.send({
        path: '/json',
        method: 'OPTIONS',
        headers: { ...site, 'Access-Control-Request-Method': 'PUT' },
      }),
    sees: { status: 204, body: '' },
  },
  'a JSON body': post('/body', { headers: json, body: '{"a":[1,"ü"]}' }, { status: 200 }),
  'a JSON body that is none': post('/body', { headers: json, body: '{"a":' }, { status: 400 }),
  'a JSON body over the limit': {
    ...post('/body', { headers: json, body: `"${'x'.repeat(150_000)}"` }, { status: 413 }),
    unread: true,
  },
  'a form': post(
    '/body',
    { headers: form, body: 'a=1&b=%C3%BC' },
    { status: 200, text: expect.stringContaining('ü') },
  ),
  'a text': post(
    '/body',
    { headers: { 'Content-Type': 'text/plain' }, body: 'words' },
    { status: 200, text: expect.stringContaining('words') },
  ),
  'raw bytes': {
    ...post(
      '/body',
      { headers: { 'Content-Type': 'application/octet-stream' }, body: Buffer.alloc(1_000_000) },
      { status: 200, text: expect.stringContaining('1000000') },
    ),
    needs: 'raw body',
  },
  'an upload of 20 MB': post('/upload', multipart(20_000_000), {
    status: 200,
    text: expect.stringContaining('20000000'),
  }),
  'an upload of nothing': post('/upload', multipart(0), {
    status: 200,
    text: expect.stringContaining('Holiday'),
  }),
  'a response that is compressed as it is made, gzip': get(
    '/lines',
    { status: 200, text: '34890 bytes', headers: containing('gzip') },
    { 'Accept-Encoding': 'gzip' },
  ),
  'a response that is compressed as it is made, br': {
    ...get(
      '/lines',
      { status: 200, text: '34890 bytes', headers: containing('br') },
      { 'Accept-Encoding': 'br' },
    ),
    needs: 'br',
  },
  'the same, not compressed': get('/lines', { status: 200, text: '34890 bytes' }),
  events: get('/events', { status: 200, text: expect.stringContaining('tick 2') }),
  'a static file': get('/files/numbers.txt', { status: 200, text: `${NUMBERS} bytes` }),
  'a folder': get('/files/', { status: 200, text: expect.stringContaining('Front page') }),
  'HEAD of a static file': {
    run: (client) => client.send({ path: '/files/numbers.txt', method: 'HEAD' }),
    sees: { status: 200, body: '' },
  },
  'a part of a file': {
    ...get('/files/numbers.txt', { status: 206, text: '6 7 8 9 10' }, { Range: 'bytes=10-19' }),
    needs: 'ranges',
  },
  'the end of a file': {
    ...get('/files/numbers.txt', { status: 206, text: '4000\n' }, { Range: 'bytes=-5' }),
    needs: 'ranges',
  },
  'a part that is not there': {
    ...get('/files/numbers.txt', { status: 416 }, { Range: 'bytes=99999-' }),
    needs: 'ranges',
  },
  'a file that has not changed': {
    needs: 'file ETag',
    run: twice('/files/numbers.txt', (answer) => ({ 'If-None-Match': header(answer, 'etag') })),
    sees: [{ status: 200 }, { status: 304, body: '' }],
  },
  'a file that has not changed since': {
    needs: 'file ETag',
    run: twice('/files/numbers.txt', (answer) => ({
      'If-Modified-Since': header(answer, 'last-modified'),
    })),
    sees: [{ status: 200 }, { status: 304, body: '' }],
  },
  'a file outside of the folder': get('/files/..%2fclient.ts', { status: expect.any(Number) }),
}

const node: Record<string, Exchange> = {
  'a body that is piped back': post(
    '/raw/echo',
    { headers: {}, body: 'abc' },
    { status: 200, body: 'abc' },
  ),
  'a megabyte that is piped back': post(
    '/raw/echo',
    { headers: {}, body: Buffer.alloc(1_000_000, 'x') },
    { status: 200, text: '1000000 bytes' },
  ),
  'a body in chunks': post(
    '/raw/echo',
    { headers: { 'Transfer-Encoding': 'chunked' }, body: 'chunked' },
    { status: 200, body: 'chunked' },
  ),
  'Expect: 100-continue': {
    run: (client) =>
      client.send({
        ...{ path: '/raw/echo', method: 'POST', body: 'asked for', waits: true },
        headers: { Expect: '100-continue' },
      }),
    sees: { status: 200, body: 'asked for' },
    freeTiming: true,
  },
  'trailers both ways': {
    run: (client) => {
      const path = '/raw/trailers'
      return client.talk(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n`,
      )
    },
    sees: /\{"x-sum":"7"\}[\s\S]*X-Length: 3/,
    freeTiming: true,
  },
  'early hints': get('/raw/hints', {
    status: 200,
    interim: [
      [103, ['Link', '</a.css>; rel=preload, </b.js>; rel=preload']],
      [102, []],
    ],
  }),
  'writeHead with an array': get('/raw/array', { status: 201, message: 'Made' }),
  'setHeader behind the head': get('/raw/late', { body: 'begun ERR_HTTP_HEADERS_SENT' }),
  'writing until it is too much': {
    ...get('/raw/drain', {
      status: 200,
      text: '4194304 bytes',
      trailers: ['X-Waits', '{"before":false,"after":false,"some":true}'],
    }),
    freeTiming: true,
  },
  'a file through pipeline': {
    ...get('/raw/file', { status: 200, text: `${NUMBERS} bytes`, cut: false }),
    hears: 'fine',
    freeTiming: true,
  },
  'a source that fails': {
    ...get('/raw/broken', { status: 200, cut: true }),
    hears: 'E_SOURCE',
  },
  'the socket': {
    run: async (client) => {
      const headers = { Host: 'example.test', Accept: 'a, b' }
      const { body, ...rest } = await client.send({ path: '/raw/socket', headers })
      return { ...rest, text: '', seen: JSON.parse(body) }
    },
    sees: {
      seen: { remoteAddress: '127.0.0.1', encrypted: false, chained: true, same: true, real: true },
    },
  },
  'a connection that is used again': {
    run: async (client) => {
      const one = await client.again({ path: '/raw/array' })
      const other = await client.again({ path: '/raw/array' })
      return [one, other]
    },
    sees: [{ reused: false }, { reused: true }],
  },
  'state on a socket that is used again': {
    oneWorker: true,
    run: async (client) => {
      await client.again({ path: '/raw/visits' })
      return (await client.again({ path: '/raw/visits' })).body
    },
    sees: /^2$/,
  },
  'pipelined requests': {
    run: async (client) => {
      const line = (path: string, end = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${end}\r\n`
      const text =
        line('/raw/late') + line('/raw/array') + line('/raw/late', 'Connection: close\r\n')
      const answers = await client.talk(text)
      // Node 26 makes one chunk of what is written in one turn, unless the response still waits for those before it. Behind a front it
      // never has to wait. What is a chunk and what are two means nothing to a client.
      return answers
        .replaceAll(/Keep-Alive: timeout=\d+/g, 'Keep-Alive: …')
        .replaceAll(/\r\n[0-9a-f]+\r\n/g, '')
    },
    sees: /begun[\s\S]*201 Made[\s\S]*begun/,
    freeTiming: true,
  },
  'req.setTimeout': {
    run: (client) =>
      client.talk('POST /raw/timeout HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nslow'),
    sees: /408 [\s\S]*too slow/,
  },
  'res.setTimeout': get('/raw/response-timeout', { status: 503 }),
  'a response that is ended twice': get('/raw/twice', { status: 200, body: 'once' }),
  'a client that goes away': {
    run: async (client) => {
      const req = client.begin({ path: '/raw/hold' }).end()
      const [res] = await once(req, 'response')
      await once(res, 'data')
      res.on('error', () => {})
      req.destroy()
    },
    hears: 'finished ERR_STREAM_PREMATURE_CLOSE',
  },
  'a client that goes away in the middle of its body': {
    run: async (client) => {
      const socket = connect(client.port, '127.0.0.1')
      socket.write('POST /raw/partial HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun')
      await once(socket, 'data')
      socket.destroy()
    },
    hears: 'finished ECONNRESET, complete false',
  },
}

export const exchanges: Readonly<Record<string, Exchange>> = {
  ...middleware,
  ...Object.fromEntries(
    Object.entries(node).map(([name, one]) => [name, { ...one, needs: 'raw' }]),
  ),
}
