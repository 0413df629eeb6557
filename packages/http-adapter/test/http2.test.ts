// HTTP/2 clients: the app serves them as it serves HTTP/1.1, and they see HTTP/2.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { serverOf } from './support/both.js'
import { cert, key } from './support/certificate.js'
import { startCluster } from './support/cluster.js'
import { type Http2Answer, send, startHttp2 } from './support/http2.js'
import { open, until } from './support/raw.js'

const MiB = 1024 * 1024
/** A grace that no test outlives. */
const NEVER = 3_600_000

it('informational responses without end: the client gets so many of them, and the answer whole', async () => {
  const { session } = await startHttp2(() => async (_req, res) => {
    for (let i = 0; i < 1_000; i++) {
      res.writeEarlyHints({ link: `</${'a'.repeat(1_000)}.css>; rel=preload` })
      if (i % 10 === 0) await new Promise(setImmediate)
    }
    res.end('whole')
  })
  const { interim, body } = await send(session, { ':path': '/' })
  expect(body).toBe('whole')
  expect(interim.length).toBeGreaterThan(50)
  expect(interim.length).toBeLessThan(70)
})

it('the app gets an HTTP/1.1 request', async () => {
  const { session, own } = await startHttp2(() => (req, res) => {
    const { method, url, httpVersion, rawHeaders, headers } = req
    const { encrypted, alpnProtocol, remoteAddress } = req.socket as TLSSocket
    const own = rawHeaders.filter((_, i, all) => all[i - (i % 2)] !== 'x-request-id')
    const socket = { encrypted, alpnProtocol, remoteAddress }
    const { cookie, host } = headers
    res.end(JSON.stringify({ method, url, httpVersion, own, cookie, host, socket }))
  })
  const { body } = await send(session, {
    ':path': '/a?b=c',
    ':authority': 'shop.test',
    cookie: ['a=1', 'b=2'],
    'x-many': ['1', '2'],
    te: 'trailers',
  })
  expect(JSON.parse(body)).toEqual({
    ...{ method: 'GET', url: '/a?b=c', httpVersion: '1.1' },
    own: [
      'Host',
      'shop.test',
      'x-many',
      '1',
      'x-many',
      '2',
      'te',
      'trailers',
      'cookie',
      'a=1; b=2',
    ],
    ...{ cookie: 'a=1; b=2', host: 'shop.test' },
    socket: { encrypted: true, alpnProtocol: 'h2', remoteAddress: '127.0.0.1' },
  })
  expect(own).toBeGreaterThan(0)
})

it('X-Forwarded-* says what is true, and a request has an id', async () => {
  const { session } = await startHttp2(
    () => (req, res) => void res.end(JSON.stringify(req.headers)),
    {
      trust: false,
    },
  )
  const { body } = await send(session, { ':authority': 'shop.test', 'x-forwarded-proto': 'http' })
  expect(JSON.parse(body)).toMatchObject({
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'shop.test',
    'x-forwarded-for': '127.0.0.1',
    'x-request-id': expect.stringMatching(/\.1$/),
  })
})

interface Case {
  readonly app: RequestListener
  readonly request?: OutgoingHttpHeaders
  readonly body?: string
  readonly expected: Partial<Omit<Http2Answer, 'headers'>> & { headers?: unknown }
}

const echo: RequestListener = (req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () =>
    res.end(
      `${req.headers['transfer-encoding'] ?? req.headers['content-length']} ${Buffer.concat(chunks)}`,
    ),
  )
}

const cases: Record<string, Case> = {
  'a small body': {
    app: (_req, res) => void res.end('hello'),
    expected: { headers: { ':status': 200, 'content-length': '5' }, body: 'hello' },
  },
  'chunks, in turns of their own': {
    app: async (_req, res) => {
      for (const word of ['one ', 'two ', 'three']) {
        res.write(word)
        await new Promise(setImmediate)
      }
      res.end()
    },
    expected: { body: 'one two three' },
  },
  'nothing about the connection, and no reason phrase': {
    app: (_req, res) =>
      void res
        .writeHead(418, 'Short And Stout', { Connection: 'X-Hop', 'X-Hop': '1', 'Keep-Alive': 'a' })
        .end(),
    expected: { headers: { ':status': 418, date: expect.any(String) }, body: '' },
  },
  'several cookies, in order': {
    app: (_req, res) => void res.setHeader('Set-Cookie', ['a=1', 'b=2']).end(),
    expected: { headers: { 'set-cookie': ['a=1', 'b=2'] } },
  },
  trailers: {
    app: (_req, res) => {
      res.setHeader('Trailer', 'X-Sum')
      res.write('body')
      res.addTrailers({ 'X-Sum': '42' })
      res.end()
    },
    expected: { body: 'body', trailers: { 'x-sum': '42' } },
  },
  HEAD: {
    app: (_req, res) => void res.setHeader('Content-Length', 5).end('hello'),
    request: { ':method': 'HEAD' },
    expected: { headers: { ':status': 200, 'content-length': '5' }, body: '' },
  },
  '204': {
    app: (_req, res) => void res.writeHead(204).end(),
    expected: { headers: { ':status': 204 }, body: '' },
  },
  '304': {
    app: (_req, res) => void res.writeHead(304, { ETag: '"x"' }).end(),
    expected: { headers: { ':status': 304, etag: '"x"' }, body: '' },
  },
  'early hints': {
    app: (_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' })
      res.end('late')
    },
    expected: { interim: ['103 </a.css>; rel=preload'], body: 'late' },
  },
  'a body of no known length': {
    app: echo,
    request: { ':method': 'POST' },
    body: 'order',
    expected: { body: 'chunked order' },
  },
  'a body of a known length': {
    app: echo,
    request: { ':method': 'POST', 'content-length': 5 },
    body: 'order',
    expected: { body: '5 order' },
  },
  'a body that waits for 100 Continue': {
    app: echo,
    request: { ':method': 'POST', 'content-length': 5, expect: '100-continue' },
    body: 'order',
    expected: { body: '5 order', interim: ['100 '] },
  },
  'bytes that are not ASCII': {
    app: (_req, res) =>
      void res.setHeader('X-Name', 'gr\xfc\xdfe').end(Buffer.from([0, 255, 13, 10])),
    expected: { headers: { 'x-name': 'gr\xfc\xdfe' }, body: '\0\xff\r\n' },
  },
  'a body that goes on to the end': {
    app: (_req, res) => {
      res.removeHeader('transfer-encoding')
      res.write('one ')
      res.end('two')
    },
    expected: { body: 'one two' },
  },
}

describe('a response is told in HTTP/2', () => {
  it.each(Object.entries(cases))('%s', async (_name, { app, request, body, expected }) => {
    const { session, front } = await startHttp2(() => app)
    const answer = await send(session, request, body)
    expect(answer).toMatchObject(expected)
    for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'x-hop'])
      expect(answer.headers).not.toHaveProperty(name)
    expect(front.stats()).toMatchObject({ active: 0, refused: 0, cut: 0, abandoned: 0 })
  })
})

it('many requests on one connection run at once, on all workers', async () => {
  const { session, front } = await startHttp2((worker) => (req, res) => {
    setImmediate(() => res.end(`${worker.number} ${req.url}`))
  })
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => send(session, { ':path': `/${i}` })),
  )
  expect(answers.map(({ body }) => body.slice(2))).toEqual(answers.map((_, i) => `/${i}`))
  expect(new Set(answers.map(({ body }) => body[0])).size).toBe(2)
  expect(front.stats()).toMatchObject({ requests: 100, active: 0 })
})

it('bodies stream both ways, as large as they are', async () => {
  const { session } = await startHttp2(() => (req, res) => void req.pipe(res))
  const bytes = randomBytes(8 * MiB)
  const { body } = await send(session, { ':method': 'POST' }, bytes)
  expect(Buffer.from(body, 'latin1').equals(bytes)).toBe(true)
})

it('a client that reads nothing holds the app back', async () => {
  let res: ServerResponse | undefined
  let written = 0
  const { session } = await startHttp2(() => (_req, own) => {
    res = own
    const fill = () => {
      while (written < 64 && own.write(Buffer.alloc(MiB))) written++
      if (written === 64) own.end()
      else written++
    }
    own.on('drain', fill)
    fill()
  })
  const stream = session.request()
  await once(stream, 'response')
  await until(() => res?.writableNeedDrain === true)
  expect(written).toBeLessThan(64)
  let received = 0
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  await once(stream, 'end')
  expect(received).toBe(64 * MiB)
})

it('a client that resets its stream: the request is aborted, and the others of its connection go on', async () => {
  const events: string[] = []
  const { session, front, mesh } = await startHttp2(() => (req, res) => {
    if (req.url === '/other') return void res.end('still here')
    req.on('aborted', () => events.push('req aborted'))
    req.on('error', () => {})
    res.on('close', () => events.push(`res close ${res.writableFinished}`))
    res.write('begun')
  })
  const stream = session.request({ ':method': 'POST' })
  stream.on('error', () => {})
  stream.write('half')
  await once(stream, 'response')
  stream.close(constants.NGHTTP2_CANCEL)
  await until(() => events.length === 2)
  expect(events).toEqual(['req aborted', 'res close false'])
  expect((await send(session, { ':path': '/other' })).body).toBe('still here')
  expect(front.stats()).toMatchObject({ active: 0, abandoned: 1 })
  await until(() => mesh.primary.peer.pending === 0)
})

it('a client whose connection is gone: all its requests are aborted', async () => {
  let closed = 0
  const { session, front } = await startHttp2(() => (req, res) => {
    req.on('error', () => {})
    res.on('close', () => closed++)
    res.write('begun')
  })
  const streams = [1, 2, 3].map(() => session.request().on('error', () => {}))
  await Promise.all(streams.map((stream) => once(stream, 'response')))
  session.destroy()
  await until(() => closed === 3)
  await until(() => front.stats().active === 0)
})

it('a client that goes away while its request waits leaves its place', async () => {
  const { session, front } = await startHttp2(undefined)
  const stream = session.request().on('error', () => {})
  await until(() => front.stats().waiting === 1)
  stream.close(constants.NGHTTP2_CANCEL)
  await until(() => front.stats().waiting === 0)
  expect(front.stats()).toMatchObject({ active: 0, abandoned: 1 })
})

it('a worker that dies in the middle of a response: the stream is reset, not ended', async () => {
  const { session, front } = await startHttp2((worker) => (_req, res) => {
    res.write('the first half')
    setImmediate(() => setImmediate(() => worker.kill()))
  })
  await expect(send(session)).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
  expect(front.stats()).toMatchObject({ cut: 1, active: 0 })
})

it('a worker that dies before it has answered: a GET goes to another, a POST gets 502', async () => {
  let runs = 0
  const { session } = await startHttp2((worker) => (_req, res) => {
    if (runs++ === 0) worker.kill()
    else res.end('another')
  })
  expect(await send(session)).toMatchObject({ body: 'another' })
  const posting = await startHttp2((worker) => () => worker.kill())
  const { headers } = await send(posting.session, { ':method': 'POST' }, 'order')
  expect(headers).toMatchObject({ ':status': 502, 'x-clusterwire-reason': 'worker-lost' })
})

it('an app that cuts its response off: the stream is reset', async () => {
  const { session } = await startHttp2(() => (req, res) => {
    if (req.url === '/begun') res.write('half')
    setImmediate(() => res.destroy())
  })
  await expect(send(session, { ':path': '/begun' })).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
  await expect(send(session, { ':path': '/nothing' })).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
})

it('what HTTP/2 has no words for ends that stream only, and is told', async () => {
  const errors: string[] = []
  const { session, front } = await startHttp2(
    () => (req: IncomingMessage, res: ServerResponse) => {
      if (req.url === '/fine') return void res.end('fine')
      res.writeHead(200, ['Content-Type', 'a/b', 'Content-Type', 'c/d']).end('two types')
    },
    { onError: (_error, where) => errors.push(where) },
  )
  await expect(send(session)).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
  expect(errors).toEqual(['an HTTP/2 response to GET /'])
  expect((await send(session, { ':path': '/fine' })).body).toBe('fine')
  expect(front.stats()).toMatchObject({ active: 0 })
})

it('no worker in time: 503', async () => {
  const { session } = await startHttp2(undefined, { queue: { timeout: 10 } })
  expect(await send(session)).toMatchObject({
    headers: { ':status': 503, 'retry-after': '1', 'x-clusterwire-reason': 'no-worker' },
    body: 'No worker is ready to answer. Try again.\n',
  })
})

it('the same port speaks HTTP/1.1, and WebSocket, to those who ask for it', async () => {
  const setup = await startCluster(() => {
    const server = serverOf(
      () => {},
      (req, res) => void res.end(`${req.httpVersion} ${req.socket.localPort}`),
    )
    server.removeAllListeners('upgrade')
    new WebSocketServer({ server }).on('connection', (socket) => socket.send('welcome'))
    return server
  })
  const { front } = setup
  const server = createSecureServer({ key, cert, allowHTTP1: true }, front.request)
  server.on('upgrade', front.upgrade)
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const body = await new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }
    httpsRequest(options, (res) => res.setEncoding('utf8').on('data', resolve))
      .on('error', reject)
      .end()
  })
  expect(body).toBe(`1.1 ${port}`)
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, { rejectUnauthorized: false })
  onTestFinished(() => socket.terminate())
  expect(String((await once(socket, 'message'))[0])).toBe('welcome')
})

/** Bytes from their hexadecimal digits. */
const bytesOf = (digits: string) =>
  Buffer.from(digits.replaceAll(' ', ''), 'hex').toString('latin1')

const countOf = (server: Http2Server) =>
  new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))

describe('the front’s close', () => {
  it('running streams finish, clients get GOAWAY, and their sessions end', async () => {
    const finish: (() => void)[] = []
    const { session, own, front } = await startHttp2(
      () => (req, res) => {
        if (req.url === '/idle') res.end('idle')
        else finish.push(() => res.end('done'))
      },
      { grace: NEVER },
    )
    const idle = connect(`https://127.0.0.1:${own}`, { rejectUnauthorized: false })
    onTestFinished(() => idle.destroy())
    expect((await send(idle, { ':path': '/idle' })).body).toBe('idle')
    const running = send(session)
    await until(() => finish.length === 1)
    const told = [once(session, 'goaway'), once(idle, 'goaway')]
    const ended = [once(session, 'close'), once(idle, 'close')]
    const closed = front.close()
    for (const [code] of await Promise.all(told)) expect(code).toBe(constants.NGHTTP2_NO_ERROR)
    await ended[1]
    finish[0]?.()
    expect(await running).toMatchObject({ headers: { ':status': 200 }, body: 'done' })
    await Promise.all([...ended, closed])
    expect(front.stats()).toMatchObject({ active: 0, cut: 0, abandoned: 0 })
  })

  it('a stream that does not end is ended with its session when the grace is over', async () => {
    const { session, front } = await startHttp2(() => (_req, res) => void res.write('for ever'), {
      grace: 20,
    })
    const cut = expect(send(session)).rejects.toThrow()
    await until(() => front.stats().responses['2xx'] === 1)
    const ended = new Promise((resolve) => session.once('close', resolve))
    await front.close()
    await cut
    await ended
    await until(() => front.stats().active === 0)
  })

  it('a client that neither reads nor ends holds nothing up beyond the grace', async () => {
    const { front } = await startCluster(() => (_req, res) => void res.end('x'.repeat(MiB)), {
      grace: 20,
    })
    const server = createServer({ settings: { initialWindowSize: 65_535 } }, front.request)
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const [greeting, request] = ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '82868441 0161']
    const socket = await open(port, { allowHalfOpen: true })
    socket.write(greeting + bytesOf('000000 04 00 00000000'), 'latin1')
    socket.write(bytesOf(`000006 01 05 00000001 ${request}`), 'latin1')
    await until(() => front.stats().responses['2xx'] === 1)
    await front.close()
    expect(await countOf(server)).toBe(0)
  })

  it('a request that is here, but not read yet, is answered; one on a new session is, too, and that session gets GOAWAY', async () => {
    const { session, own, front } = await startHttp2(
      () => (req, res) => void res.end(`served ${req.url}`),
      { grace: NEVER },
    )
    expect((await send(session)).body).toBe('served /')
    const next = send(session, { ':path': '/next' })
    await new Promise(setImmediate) // It has left.
    const closed = front.close()
    expect((await next).body).toBe('served /next')
    await closed
    const late = connect(`https://127.0.0.1:${own}`, { rejectUnauthorized: false })
    onTestFinished(() => late.destroy())
    const told = once(late, 'goaway')
    expect((await send(late, { ':path': '/late' })).body).toBe('served /late')
    await told
  })
})

it('HTTP/2 without TLS', async () => {
  const { front } = await startCluster(
    () => (req, res) => void res.end(`${'encrypted' in req.socket}`),
  )
  const server = createServer(front.request)
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => session.destroy())
  expect((await send(session)).body).toBe('false')
})

it('a server that has said 100 Continue by itself: the client hears it once', async () => {
  const { front } = await startCluster(
    () => (req, res) => void req.resume().on('end', () => res.end('done')),
  )
  const server = createServer(front.request)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => {
    session.destroy()
    server.close()
  })
  const { interim, body } = await send(
    session,
    { ':method': 'POST', expect: '100-continue' },
    'order',
  )
  expect({ interim, body }).toEqual({ interim: ['100 '], body: 'done' })
})
