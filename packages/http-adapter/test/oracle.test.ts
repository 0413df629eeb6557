// The oracle: the same bytes sent to the same app, under plain node:http and behind the front, must give the same bytes back and the
// same events in the same order.

import { createHash } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { expect, it } from 'vitest'
import { startCluster, startPlain } from './support/cluster.js'
import { talk, withoutVariables } from './support/raw.js'

type App = (req: IncomingMessage, res: ServerResponse, log: string[]) => void
type Parts = Parameters<typeof talk> extends [number, ...infer P] ? P : never

interface Case {
  readonly app: App
  readonly send: Parts
  /** Listeners for other events of the server than `request`. */
  readonly events?: Readonly<Record<string, App>>
  /** How events of the request and of the response are interleaved depends on how fast bytes happen to come. */
  readonly freeTiming?: true
}

const get = (path = '/', extra = '') =>
  `GET ${path} HTTP/1.1\r\nHost: example.test\r\n${extra}Connection: close\r\n\r\n`
const keep = (path = '/', extra = '') =>
  `GET ${path} HTTP/1.1\r\nHost: example.test\r\n${extra}\r\n`
const post = (body: string, extra = '') =>
  `POST /post HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${extra}\r\n${body}`

const echo: App = (req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk) => chunks.push(chunk))
  req.on('end', () => {
    res.setHeader('X-Trailers', JSON.stringify(req.trailers))
    res.setHeader('X-Complete', String(req.complete))
    res.end(Buffer.concat(chunks))
  })
}

const describeRequest: App = (req, res) => {
  const rawHeaders = req.rawHeaders.filter(
    (_, i, all) => (all[i - (i % 2)] as string).toLowerCase() !== 'x-request-id',
  )
  const { method, url, httpVersion, httpVersionMajor, httpVersionMinor, complete } = req
  const { remoteAddress, remoteFamily, localAddress, localFamily } = req.socket
  const seen = {
    method,
    url,
    httpVersion,
    httpVersionMajor,
    httpVersionMinor,
    complete,
    rawHeaders,
  }
  const cookies = req.headers['set-cookie']
  const { host, accept, cookie } = req.headers
  res.setHeader('Content-Type', 'application/json')
  const socket = {
    remoteAddress,
    remoteFamily,
    localAddress,
    localFamily,
    port: !!req.socket.remotePort,
  }
  res.end(JSON.stringify({ seen, headers: { host, accept, cookie, cookies }, socket }))
}

/** Notes every event of both, and the flags that an app may look at then. */
const watched =
  (app: App): App =>
  (req, res, log) => {
    const reqFlags = () =>
      `${req.complete ? 'c' : '-'}${req.aborted ? 'a' : '-'}${req.destroyed ? 'd' : '-'}${req.readableEnded ? 'e' : '-'}`
    const resFlags = () =>
      `${res.headersSent ? 'h' : '-'}${res.writableEnded ? 'e' : '-'}${res.writableFinished ? 'f' : '-'}${res.destroyed ? 'd' : '-'}`
    for (const event of ['end', 'close', 'aborted', 'error'])
      req.on(event, () => log.push(`req ${event} ${reqFlags()}`))
    for (const event of ['prefinish', 'finish', 'close', 'error', 'pipe', 'unpipe'])
      res.on(event, () => log.push(`res ${event} ${resFlags()}`))
    log.push(`request ${reqFlags()} ${resFlags()}`)
    app(req, res, log)
    log.push(`returned ${reqFlags()} ${resFlags()}`)
  }

const cases: Record<string, Case> = {
  'a string, ended at once': { app: (_req, res) => void res.end('hello'), send: [get()] },
  'a buffer, ended at once': {
    app: (_req, res) => void res.end(Buffer.from('hello')),
    send: [get()],
  },
  'nothing at all': { app: (_req, res) => void res.end(), send: [get()] },
  'text that is not ASCII': { app: (_req, res) => void res.end('grüße 🌍'), send: [get()] },
  'a header that is not ASCII': {
    app: (_req, res) => void res.setHeader('X-Name', 'grüße').end(Buffer.from('é')),
    send: [get()],
  },
  'what the app sees of the request': {
    app: describeRequest,
    send: [
      get(
        '/a%20b?x=1&y=ü',
        'Accept: a\r\naccept: b\r\nCookie: 1\r\nCookie: 2\r\nX-Empty:\r\nset-cookie: x\r\n',
      ),
    ],
  },
  'HEAD with a body written': {
    app: (_req, res) => void res.writeHead(200, { 'Content-Length': '5' }).end('hello'),
    send: ['HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  },
  'HEAD without a length': {
    app: (_req, res) => void res.end('hello'),
    send: ['HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  },
  '204': { app: (_req, res) => void res.writeHead(204).end(), send: [get()] },
  '204 with a body written': {
    freeTiming: true,
    app: (_req, res) => void res.writeHead(204).end('no'),
    send: [keep(), get()],
  },
  '304': { app: (_req, res) => void res.writeHead(304, { ETag: '"x"' }).end(), send: [get()] },
  '204 with chunked encoding asked for': {
    app: (_req, res) => void res.writeHead(204, { 'Transfer-Encoding': 'chunked' }).end(),
    send: [keep()],
  },
  'a status message': {
    app: (_req, res) => void res.writeHead(418, 'Short And Stout').end(),
    send: [get()],
  },
  'chunks in one turn': {
    app: (_req, res) => {
      res.write('one')
      res.write(Buffer.from('two'))
      res.end('three')
    },
    send: [get()],
  },
  'chunks in turns of their own': {
    app: async (_req, res) => {
      for (const word of ['one', 'two', 'three']) {
        res.write(word)
        await new Promise(setImmediate)
      }
      res.end()
    },
    send: [get()],
  },
  'a head that is flushed first': {
    app: (_req, res) => {
      res.flushHeaders()
      setImmediate(() => res.end('late'))
    },
    send: [get()],
  },
  'writeHead with an array': {
    app: (_req, res) =>
      void res.writeHead(200, ['X-A', '1', 'x-a', '2', 'Content-Length', '2']).end('ok'),
    send: [get()],
  },
  'several cookies': {
    app: (_req, res) => void res.setHeader('Set-Cookie', ['a=1', 'b=2']).end('ok'),
    send: [get()],
  },
  'trailers of the response': {
    app: (_req, res) => {
      res.writeHead(200, { Trailer: 'X-Sum' })
      res.write('data')
      res.addTrailers({ 'X-Sum': '42' })
      res.end()
    },
    send: [get('/', 'TE: trailers\r\n')],
  },
  'trailers of the request': {
    app: echo,
    send: [
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n',
      '5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n',
    ],
  },
  'a small body': { app: echo, send: [post('some body')] },
  'an empty body': { app: echo, send: [post('')] },
  'a body that comes in two packets': {
    app: (req, res, log) => {
      req.once('data', () => log.push('data'))
      echo(req, res, log)
    },
    send: [post('').replace('Length: 0', 'Length: 6'), 'abcdef'],
  },
  'a body of 300 KB': { freeTiming: true, app: echo, send: [post('0123456789'.repeat(30_000))] },
  'a chunked body': {
    app: echo,
    send: [
      'PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      '6\r\n world\r\n0\r\n\r\n',
    ],
  },
  'a body that nobody reads': {
    freeTiming: true,
    app: (_req, res) => void res.end('no thanks'),
    send: [post('x'.repeat(200_000))],
  },
  'a body that nobody reads, on a connection that goes on': {
    freeTiming: true,
    app: (_req, res) => void res.end('ok'),
    send: [post('x'.repeat(200_000)).replace('Connection: close\r\n', ''), get('/next')],
  },
  '100-continue, answered by Node': {
    app: echo,
    send: [
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
      { after: '100 Continue', send: 'body' },
    ],
  },
  '100-continue, answered by the app': {
    app: echo,
    events: {
      checkContinue: (req, res, log) => {
        res.writeContinue()
        echo(req, res, log)
      },
    },
    send: [
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
      { after: '100 Continue', send: 'body' },
    ],
  },
  '100-continue, refused by the app': {
    app: echo,
    events: { checkContinue: (_req, res) => void res.writeHead(413).end('too much') },
    send: ['POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n'],
  },
  'another expectation': {
    app: echo,
    send: ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: miracles\r\n\r\n'],
  },
  'another expectation, met by the app': {
    app: echo,
    events: { checkExpectation: (_req, res) => void res.end('a miracle') },
    send: ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: miracles\r\n\r\n'],
  },
  'early hints': {
    app: (_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' })
      res.end('page')
    },
    send: [get()],
  },
  '102 and then silence for a while': {
    app: (_req, res) => {
      res.writeProcessing()
      setImmediate(() => res.end('done'))
    },
    send: [get()],
  },
  'two requests on one connection': {
    app: (req, res) => void res.end(req.url),
    send: [keep('/1'), { after: '/1', send: get('/2') }],
  },
  'pipelined requests': {
    freeTiming: true,
    app: (req, res) => {
      if (req.url === '/1') setImmediate(() => setImmediate(() => res.end('slow')))
      else res.end(`quick ${req.url}`)
    },
    send: [keep('/1') + keep('/2') + keep('/3') + get('/4')],
  },
  'HTTP/1.0': { app: (_req, res) => void res.end('old'), send: ['GET / HTTP/1.0\r\n\r\n'] },
  // Node's parser lets these pass, and takes them for HTTP/1.0.
  'HTTP/2.0, written as text': {
    app: (_req, res) => void res.end('new'),
    send: ['GET / HTTP/2.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n'],
  },
  'HTTP/0.9 with a head': {
    app: (_req, res) => {
      res.write('very ')
      res.end('old')
    },
    send: ['GET / HTTP/0.9\r\nConnection: keep-alive\r\n\r\n'],
  },
  'HTTP/1.0 in chunks': {
    app: (_req, res) => {
      res.write('old ')
      setImmediate(() => res.end('news'))
    },
    send: ['GET / HTTP/1.0\r\n\r\n'],
  },
  'HTTP/1.0 with keep-alive': {
    app: (_req, res) => void res.end('old'),
    send: ['GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', { after: 'old', send: get() }],
  },
  'Connection: close from the app': {
    app: (_req, res) => void res.setHeader('Connection', 'close').end('bye'),
    send: [keep()],
  },
  'shouldKeepAlive = false from the app': {
    app: (_req, res) => {
      res.shouldKeepAlive = false
      res.end('bye')
    },
    send: [keep()],
  },
  'an absolute target': {
    app: describeRequest,
    send: ['GET http://other.test/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  },
  'OPTIONS *': {
    app: describeRequest,
    send: ['OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  },
  'a method that is seldom': {
    app: describeRequest,
    send: ['PROPFIND /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  },
  'no Host': { app: describeRequest, send: ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n'] },
  nonsense: { app: describeRequest, send: ['nonsense\r\n\r\n'] },
  'two lengths': {
    app: describeRequest,
    send: [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  },
  'a long header': { app: describeRequest, send: [get('/', `X-Long: ${'y'.repeat(5000)}\r\n`)] },
  'res.destroy before anything': { app: (_req, res) => void res.destroy(), send: [get()] },
  'res.destroy in the middle': {
    app: (_req, res) => {
      res.writeHead(200, { 'Content-Length': '10' })
      res.write('half')
      setImmediate(() => setImmediate(() => res.destroy()))
    },
    send: [get()],
  },
  'req.destroy': { app: (req) => void req.destroy(), send: [get()] },
  'bytes written to the socket': {
    app: (req) => void req.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
    send: [get()],
  },
  '1 MB in one buffer': {
    freeTiming: true,
    app: (_req, res) => void res.end(Buffer.alloc(1_000_000, 'x')),
    send: [get()],
  },
  '1 MB in one string': {
    freeTiming: true,
    app: (_req, res) => void res.end('ü'.repeat(500_000)),
    send: [get()],
  },
  'setHeader after the head': {
    app: (_req, res) => {
      res.write('x')
      try {
        res.setHeader('a', 'b')
      } catch (error) {
        res.end((error as { code: string }).code)
      }
    },
    send: [get()],
  },
  'write after end': {
    app: (_req, res, log) => {
      res.on('error', (error) => log.push((error as { code?: string }).code ?? 'error'))
      res.end('x')
      res.write('y')
    },
    send: [get()],
  },
  strictContentLength: {
    app: (_req, res, log) => {
      res.strictContentLength = true
      res.setHeader('Content-Length', 3)
      try {
        res.end('four')
      } catch (error) {
        log.push((error as { code: string }).code)
        res.destroy()
      }
    },
    send: [get()],
  },
}

/** A long text by its length and its sum, so that a failure can be read. */
function digest(text: string): string {
  if (text.length < 10_000) return text
  const head = text.slice(0, text.indexOf('\r\n\r\n'))
  return `${head} … ${text.length} bytes, ${createHash('sha256').update(text, 'latin1').digest('hex')}`
}

for (const [name, { app, send, events = {}, freeTiming }] of Object.entries(cases))
  it(`${name}: as under plain node:http`, async () => {
    const run = async (start: (app: ReturnType<typeof createServer>) => Promise<number>) => {
      const logs: string[][] = []
      const listen =
        (one: App): RequestListener =>
        (req, res) => {
          const log: string[] = []
          logs.push(log)
          watched(one)(req, res, log)
        }
      const server = createServer(listen(app))
      for (const [event, one] of Object.entries(events)) server.on(event, listen(one))
      const bytes = withoutVariables(await talk(await start(server), ...send))
      // The last events of the last request come in the turns after its last byte.
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      const names = (log: string[]) => log.map((line) => line.replace(/ [-a-z]{4}/g, '')).sort()
      return { bytes: digest(bytes), logs: freeTiming ? logs.map(names) : logs }
    }
    const plain = await run(startPlain)
    const proxied = await run(
      async (server) => (await startCluster(() => server, { workers: 1 })).port,
    )
    expect(proxied).toEqual(plain)
  })
