// What a front's options mean for those who do not come by plain HTTP/1.1: HTTP/2 streams, and connections that are upgraded.
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { sticky } from '../src/index.js'
import { serverOf } from './support/both.js'
import { call } from './support/client.js'
import { type MakeApp, startCluster } from './support/cluster.js'
import { answerOf, send, startHttp2 } from './support/http2.js'
import { open, talk, until } from './support/raw.js'

const NEVER = 3_600_000

describe('HTTP/2', () => {
  const whoami =
    ({ number }: { readonly number: number }) =>
    (_req: IncomingMessage, res: ServerResponse) => {
      res.setHeader('Set-Cookie', 'mine=1')
      res.end(String(number))
    }

  it('sticky: the first response sets the cookie, beside the app’s own; who brings it comes home', async () => {
    const { session } = await startHttp2(whoami, { balance: sticky({ cookie: 'home' }) })
    const first = await send(session)
    const cookies = first.headers['set-cookie'] ?? []
    expect(cookies).toEqual(['mine=1', expect.stringMatching(/^home=[\w-]{16}; .*; Secure$/)])
    const cookie = (cookies[1] as string).split(';')[0] as string
    for (let i = 0; i < 4; i++) {
      const next = await send(session, { cookie })
      expect(next.body).toBe(first.body)
      expect(next.headers['set-cookie']).toEqual(['mine=1'])
    }
  })

  it('concurrency: streams of one session wait for a place, as requests do', async () => {
    const held: ServerResponse[] = []
    const { session, front } = await startHttp2(() => (_req, res) => void held.push(res), {
      workers: 1,
      concurrency: 1,
    })
    const answers = [send(session), send(session)]
    await until(() => held.length === 1 && front.stats().waiting === 1)
    held[0]?.end('first')
    await until(() => held.length === 2)
    held[1]?.end('second')
    const bodies = (await Promise.all(answers)).map(({ body }) => body)
    expect(bodies).toEqual(['first', 'second'])
    const { responses, workers } = front.stats()
    expect(responses).toMatchObject({ '2xx': 2 })
    expect(workers).toMatchObject([{ active: 0, requests: 2, errors: 0, latency: { count: 2 } }])
  })

  it('timeout: 504 before the response, a reset after its beginning', async () => {
    const { session, front } = await startHttp2(
      () => (req, res) => {
        if (req.url === '/begun') res.write('begun')
      },
      { timeout: 50 },
    )
    const late = await send(session)
    expect(late.headers).toMatchObject({
      ':status': 504,
      'x-clusterwire-reason': 'deadline-exceeded',
    })
    await expect(send(session, { ':path': '/begun' })).rejects.toThrow('NGHTTP2_INTERNAL_ERROR')
    expect(front.stats()).toMatchObject({ active: 0, cut: 1, refusedBy: { DEADLINE_EXCEEDED: 1 } })
  })

  it.each([{ 'content-length': 1_000_000 }, {}])(
    'maxBodyBytes: 413, and the client is told to send no more (%o)',
    async (length) => {
      const { session, front } = await startHttp2(
        () => (req, res) => void req.resume().on('end', () => res.end('ok')),
        {
          maxBodyBytes: 1_000,
        },
      )
      const stream = session.request({ ':method': 'POST', ...length })
      const answer = answerOf(stream)
      stream.write('x'.repeat(2_000))
      expect((await answer).headers[':status']).toBe(413)
      expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR)
      expect(front.stats()).toMatchObject({ active: 0, refusedBy: { BODY_TOO_LARGE: 1 } })
      expect((await send(session)).body).toBe('ok')
    },
  )

  it('what is no head of a response: 502, and the client sees nothing of it', async () => {
    const { session } = await startHttp2(() => (_req, res) => {
      Object.assign(res, { _header: 'HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n', _hasBody: false })
      res.end()
    })
    const { headers } = await send(session)
    expect(headers).toMatchObject({ ':status': 502, 'x-clusterwire-reason': 'bad-gateway' })
  })

  it('health and metrics are answered on their paths', async () => {
    const { session } = await startHttp2(whoami, { health: '/health', metrics: '/metrics' })
    const health = await send(session, { ':path': '/health' })
    expect(JSON.parse(health.body)).toMatchObject({ status: 'ok', workers: { ready: 2 } })
    const metrics = await send(session, { ':path': '/metrics' })
    expect(metrics.body).toContain('clusterwire_http_requests_total 0\n')
  })
})

describe('upgrades', () => {
  const UPGRADE = 'GET /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n'
  const SWITCHED =
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n\r\n'
  const mirror = (_req: IncomingMessage, socket: Duplex) => {
    socket.write(SWITCHED)
    socket.pipe(socket)
  }
  const mirrors: MakeApp = () => serverOf(mirror)

  /** A connection whose upgrade has been asked for, and what has come by it. */
  async function ask(port: number, headers = '') {
    const socket = await open(port)
    const seen = { socket, text: '' }
    socket.on('data', (bytes: Buffer) => {
      seen.text += bytes
    })
    socket.write(`${UPGRADE}${headers}\r\n`)
    return seen
  }

  it('concurrency: a handshake takes a place, an open connection does not', async () => {
    const held: Duplex[] = []
    const { port, front } = await startCluster(
      () => serverOf((_req, socket) => void held.push(socket)),
      { workers: 1, concurrency: 1 },
    )
    const one = await ask(port)
    await until(() => held.length === 1)
    const two = await ask(port)
    const three = call(port)
    await until(() => front.stats().waiting === 2)
    held[0]?.write(SWITCHED)
    await until(() => held.length === 2)
    expect(front.stats()).toMatchObject({ waiting: 1, upgraded: 2, workers: [{ active: 1 }] })
    held[1]?.write(SWITCHED)
    expect((await three).body).toBe('ordinary')
    await until(() => one.text === SWITCHED && two.text === SWITCHED)
    expect(front.stats()).toMatchObject({
      ...{ active: 2, upgraded: 2, waiting: 0 },
      responses: { '1xx': 2, '2xx': 1 },
      workers: [{ active: 0, requests: 3, errors: 0, latency: { count: 3 } }],
    })
  })

  it('timeout: 504 for a handshake that takes too long, and the app hears of it; nothing for an open connection', async () => {
    let closed = 0
    const { port, front } = await startCluster(
      () =>
        serverOf((req, socket) => {
          if (req.headers['x-app'] !== 'slow') return mirror(req, socket)
          socket.on('error', () => {}).on('close', () => closed++)
        }),
      { timeout: 100 },
    )
    const opened = await ask(port)
    await until(() => opened.text === SWITCHED)
    expect(await talk(port, `${UPGRADE}X-App: slow\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 504 [\s\S]*reason: deadline-exceeded/,
    )
    await until(() => closed === 1)
    opened.socket.write('still here')
    await until(() => opened.text === `${SWITCHED}still here`)
    expect(front.stats()).toMatchObject({
      active: 1,
      upgraded: 1,
      refusedBy: { DEADLINE_EXCEEDED: 1 },
    })
  })

  it('sticky: the cookie is set where the connection is switched; who brings it comes home', async () => {
    const { port } = await startCluster(
      ({ number }) => serverOf((_req, socket) => socket.write(`${SWITCHED}${number}`)),
      { balance: sticky({ cookie: 'home' }) },
    )
    const first = await ask(port)
    await until(() => /\r\n\r\n\d$/.test(first.text))
    const [, cookie = ''] = /\r\nSet-Cookie: (home=[\w-]{16}); /.exec(first.text) ?? []
    expect(first.text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\n/)
    for (let i = 0; i < 4; i++) {
      const next = await ask(port, `Cookie: ${cookie}\r\n`)
      await until(() => next.text === `${SWITCHED}${first.text.at(-1)}`)
    }
  })

  it('maxBodyBytes: what goes through an open connection is no body', async () => {
    const { port } = await startCluster(mirrors, { maxBodyBytes: 10 })
    const { socket, ...seen } = await ask(port)
    let text = seen.text
    socket.on('data', (bytes: Buffer) => {
      text += bytes
    })
    socket.write('x'.repeat(100_000))
    await until(() => text.length >= 100_000)
  })

  it('queue: with no place in it, 503', async () => {
    const { port } = await startCluster(undefined, { queue: { limit: 0, timeout: NEVER } })
    expect(await talk(port, `${UPGRADE}\r\n`)).toMatch(/^HTTP\/1\.1 503 /)
  })

  it('health is answered, whatever the client would like to speak', async () => {
    const { port } = await startCluster(mirrors, { health: '/health' })
    const status = await new Promise((resolve) => {
      const headers = { Connection: 'Upgrade', Upgrade: 'h2c' }
      const options = { host: '127.0.0.1', port, path: '/health', headers }
      request(options, (res) => resolve(res.resume().statusCode)).end()
    })
    expect(status).toBe(200)
  })
})
