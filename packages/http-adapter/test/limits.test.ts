// What the front does not let through, in either direction.
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { call } from './support/client.js'
import { startCluster } from './support/cluster.js'
import { open, talk, until } from './support/raw.js'

const POST = 'POST / HTTP/1.1\r\nHost: a\r\n'

/** A cluster whose app counts its requests and the bytes of their bodies. */
async function startCounting(options: Parameters<typeof startCluster>[1]) {
  const seen = { requests: 0, bytes: 0, aborted: 0 }
  const setup = await startCluster(
    () => (req, res) => {
      seen.requests++
      req.on('data', ({ length }: Buffer) => {
        seen.bytes += length
      })
      req.on('aborted', () => seen.aborted++)
      req.on('end', () => res.end('ok'))
    },
    { workers: 1, ...options },
  )
  return { ...setup, seen }
}

describe('maxBodyBytes', () => {
  it('a body that says that it is too large: 413, no worker hears of it, the connection is closed', async () => {
    const { port, front, seen } = await startCounting({ maxBodyBytes: 1000 })
    const answer = await talk(port, `${POST}Content-Length: 1001\r\n\r\n${'x'.repeat(1001)}`)
    expect(answer).toMatch(/^HTTP\/1\.1 413 Payload Too Large\r\n/)
    expect(answer).toContain('Connection: close\r\n')
    expect(answer).toContain('x-clusterwire-reason: body-too-large\r\n')
    expect(seen.requests).toBe(0)
    expect(front.stats()).toMatchObject({ active: 0, refusedBy: { BODY_TOO_LARGE: 1 } })
  })

  it('a chunked body that gets too large: 413, and the app hears of its end', async () => {
    const { port, front, seen } = await startCounting({ maxBodyBytes: 1000 })
    const chunk = `1f4\r\n${'x'.repeat(500)}\r\n`
    const answer = await talk(
      port,
      `${POST}Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}${chunk}0\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    await until(() => seen.aborted === 1)
    expect(seen.bytes).toBeLessThanOrEqual(1000)
    expect(front.stats()).toMatchObject({ active: 0, refused: 1 })
  })

  it('a client that sends on and on gets the answer, and is not read for ever', async () => {
    const { port } = await startCounting({ maxBodyBytes: 1000 })
    const socket = await open(port)
    let received = ''
    socket.on('data', (bytes) => {
      received += bytes
    })
    socket.write(`${POST}Content-Length: 100000000000\r\n\r\n`)
    const send = () => !socket.destroyed && socket.write('x'.repeat(10_000), send)
    send()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(received).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('a response that has begun is cut when the body gets too large', async () => {
    const { port, front } = await startCluster(
      () => (req, res) => {
        res.write('begun')
        req.resume()
      },
      { maxBodyBytes: 1000 },
    )
    const chunk = `1f4\r\n${'x'.repeat(500)}\r\n`
    const answer = await talk(port, `${POST}Transfer-Encoding: chunked\r\n\r\n${chunk}`, {
      after: 'begun',
      send: chunk + chunk,
    })
    expect(answer).not.toContain('\r\n0\r\n')
    expect(front.stats()).toMatchObject({ cut: 1, active: 0 })
  })

  it('a client that asks first (100-continue) is not asked for what would be refused', async () => {
    const { port } = await startCounting({ maxBodyBytes: 10 })
    const answer = await talk(port, `${POST}Content-Length: 11\r\nExpect: 100-continue\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('a body that just fits goes through, whole or chunked', async () => {
    const { port, seen } = await startCounting({ maxBodyBytes: 500 })
    expect((await call(port, '/', { method: 'POST', body: 'x'.repeat(500) })).status).toBe(200)
    const chunked = `${POST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n${'x'.repeat(500)}\r\n0\r\n\r\n`
    expect(await talk(port, chunked)).toMatch(/^HTTP\/1\.1 200 /)
    expect(seen.bytes).toBe(1000)
  })
})

it('maxUrlLength: 414, and no worker hears of it', async () => {
  const { port, seen } = await startCounting({ maxUrlLength: 100 })
  expect((await call(port, `/${'x'.repeat(99)}`)).status).toBe(200)
  const answer = await call(port, `/${'x'.repeat(100)}`)
  expect(answer).toMatchObject({ status: 414 })
  expect(answer.headers['x-clusterwire-reason']).toBe('url-too-long')
  expect(seen.requests).toBe(1)
})

it('maxConnections: one more is closed at once; when one has ended, there is room again', async () => {
  const { port, front } = await startCounting({ maxConnections: 2 })
  const first = await open(port)
  await open(port)
  await until(() => front.stats().connections.open === 2)
  expect(await talk(port, 'GET / HTTP/1.0\r\n\r\n')).toBe('')
  expect(front.stats().connections).toEqual({ open: 2, turnedAway: 1 })
  first.destroy()
  await until(() => front.stats().connections.open === 1)
  expect(await talk(port, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/ok$/)
})

it('limits that are none are refused', async () => {
  for (const options of [
    { maxBodyBytes: -1 },
    { maxUrlLength: 0.5 },
    { maxConnections: 0 },
    { concurrency: 0 },
    { queue: { limit: -1 } },
    { queue: { timeout: Number.NaN } },
  ])
    await expect(startCluster(undefined, options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

describe('H4: what is no HTTP', () => {
  const attacks: Record<string, readonly [request: string, status: number]> = {
    'Content-Length beside Transfer-Encoding': [
      `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`,
      400,
    ],
    'two Content-Lengths': [`${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, 400],
    'a Content-Length that is none': [`${POST}Content-Length: +5\r\n\r\nhello`, 400],
    'a chunk size that is none': [`${POST}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n`, 400],
    'a transfer coding that is not the last': [
      `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      400,
    ],
    'a bare CR in a header': ['GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n', 400],
    'a space before the colon': ['GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    'a line that is no request': ['hello\r\n\r\n', 400],
    'no Host': ['GET / HTTP/1.1\r\n\r\n', 400],
    'headers that are too large': [
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
    ],
    'a URL that is too long': [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
  }
  for (const [what, [request, status]] of Object.entries(attacks))
    it(`H4: ${what}: ${status}, and no worker hears of a second request`, async () => {
      const { port, seen } = await startCounting({})
      const answer = await talk(port, request)
      expect(answer).toContain(`HTTP/1.1 ${status} `)
      expect(answer).not.toContain('200 OK')
      expect(seen.requests).toBeLessThanOrEqual(1)
      expect((await call(port)).status).toBe(200)
    })

  it('H4: a client that is slow with its head, or its body, is cut off by Node’s timeouts; no worker waits for it', async () => {
    const { port, front, seen } = await startCounting({
      server: { headersTimeout: 60, requestTimeout: 120, connectionsCheckingInterval: 20 },
    })
    const [head, body] = await Promise.all([
      talk(port, 'GET / HTTP/1.1\r\nHost: a\r\n'),
      talk(port, `${POST}Content-Length: 10\r\n\r\nhalf`),
    ])
    expect(head).toMatch(/^HTTP\/1\.1 408 /)
    expect(body).toMatch(/^HTTP\/1\.1 408 /)
    expect(seen.requests).toBe(0)
    expect(front.stats()).toMatchObject({ active: 0 })
  })

  it('H4: pipelined requests are answered in order', async () => {
    const { port } = await startCluster(() => (req, res) => {
      setTimeout(() => res.end(`<${req.url}>`), req.url === '/1' ? 30 : 0)
    })
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n`
    const answers = await talk(
      port,
      `${get('/1')}\r\n${get('/2')}\r\n${get('/3')}Connection: close\r\n\r\n`,
    )
    expect(answers.match(/<[^>]+>/g)).toEqual(['</1>', '</2>', '</3>'])
  })
})

describe('what a worker renders', () => {
  /** Responses that Node would not render: an app puts them on its socket past Node. */
  const wrong: Record<string, string> = {
    'a control character in a value': 'HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n',
    'a bare LF in a value': 'HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 0\r\n\r\n',
    'a bare CR in a value': 'HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n',
    'a name that is none': 'HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n',
    'an empty name': 'HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n',
    'a folded line': 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n',
    'no status': 'HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n',
    'no head': 'hello',
    'a response behind an informational one':
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  }
  for (const [what, bytes] of Object.entries(wrong))
    for (const way of ['in one', 'in pieces'])
      it(`${what}, ${way}: 502, and the client sees nothing of it`, async () => {
        const { port, front } = await startCluster(() => (_req, res) => {
          render(res, bytes)
          if (way === 'in one') res.end()
          else res.write('piece')
        })
        const answer = await talk(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        expect(answer).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/)
        expect(answer).toContain('x-clusterwire-reason: bad-gateway\r\n')
        expect(front.stats()).toMatchObject({ active: 0, refused: 1 })
        expect(front.stats().workers).toHaveLength(2)
      })

  it('an interim response with a real one hidden in it: 502', async () => {
    const { port } = await startCluster(() => (_req, res) => {
      const raw = res as unknown as { _writeRaw(text: string): void }
      raw._writeRaw('HTTP/1.1 103 Early Hints\r\nX: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n')
      res.end('the real one')
    })
    const answer = await talk(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 502 /)
  })

  /** Has Node send this as the head. */
  function render(res: ServerResponse, head: string): void {
    const raw = res as unknown as { _header: string; _hasBody: boolean }
    raw._header = head
    raw._hasBody = true
    res.chunkedEncoding = false
  }
})
