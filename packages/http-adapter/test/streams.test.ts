// Bodies in both directions: as fast as the slower side, never faster, and at once.
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { startCluster } from './support/cluster.js'
import { open, talk, until } from './support/raw.js'

const MiB = 1024 * 1024

/** A megabyte that says where it belongs. */
const block = (index: number) => Buffer.alloc(MiB, `${index};`)

/** A connection in memory: what is written to one end is read from the other, as it is. */
function pair(): { near: Duplex; far: Duplex } {
  const end = (other: () => Duplex) =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        other().push(chunk)
        done()
      },
      final(done) {
        other().push(null)
        done()
      },
    })
  const near = end(() => far)
  const far: Duplex = end(() => near)
  return { near, far }
}

/** Resolves when a count has not changed for a while: then whoever counts is waiting. */
async function settled(count: () => number): Promise<number> {
  for (;;) {
    const before = count()
    await new Promise((resolve) => setTimeout(resolve, 50))
    if (count() === before && before > 0) return before
  }
}

it('a client that does not read stops the app; when it reads on, it gets everything', async () => {
  const blocks = 64
  let written = 0
  const { port } = await startCluster(() => async (_req, res) => {
    for (; written < blocks; written++)
      if (!res.write(block(written))) await new Promise((resolve) => res.once('drain', resolve))
    res.end()
  })
  const socket = await open(port)
  socket.pause()
  socket.write('GET / HTTP/1.0\r\n\r\n')
  // What the kernel, the front and the worker hold between them.
  expect(await settled(() => written)).toBeLessThan(16)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume()
  await new Promise((resolve) => socket.once('close', resolve))
  const all = Buffer.concat(chunks)
  const body = all.subarray(all.indexOf('\r\n\r\n') + 4)
  expect(body.length).toBe(blocks * MiB)
  for (let i = 0; i < blocks; i++)
    expect(body.subarray(i * MiB, (i + 1) * MiB).equals(block(i))).toBe(true)
})

it('a connection that is no socket of the system’s gets bytes that stay what they are', async () => {
  const blocks = 4
  const { front } = await startCluster(() => async (_req, res) => {
    for (let i = 0; i < blocks; i++)
      if (!res.write(block(i))) await new Promise((resolve) => res.once('drain', resolve))
    res.end()
  })
  const server = createServer(front.request)
  const { near, far } = pair()
  onTestFinished(() => void near.destroy())
  server.emit('connection', far)
  const chunks: Buffer[] = []
  near.on('data', (chunk: Buffer) => chunks.push(chunk))
  near.write('GET / HTTP/1.0\r\n\r\n')
  await new Promise((resolve) => near.once('end', resolve))
  const all = Buffer.concat(chunks)
  const body = all.subarray(all.indexOf('\r\n\r\n') + 4)
  for (let i = 0; i < blocks; i++)
    expect(body.subarray(i * MiB, (i + 1) * MiB).equals(block(i))).toBe(true)
})

it('informational responses without end: the client gets so many of them, and the answer whole', async () => {
  const hint = { link: `</${'a'.repeat(1_000)}.css>; rel=preload` }
  const { port } = await startCluster(() => async (_req, res) => {
    // More than a window at once, and then as many again in small portions.
    for (let i = 0; i < 500; i++) res.writeEarlyHints(hint)
    for (let i = 0; i < 500; i++) {
      res.writeEarlyHints(hint)
      if (i % 10 === 0) await new Promise(setImmediate)
    }
    res.write('half, ')
    setImmediate(() => res.end('whole'))
  })
  const response = await talk(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const [answer = '', ...hints] = response.split('HTTP/1.1 103 ').reverse()
  expect(hints.length).toBeGreaterThan(50)
  expect(response.length).toBeLessThan(80_000)
  expect(answer).toContain('\r\n\r\nHTTP/1.1 200 OK\r\n')
  expect(answer).toMatch(/half, \r\n5\r\nwhole\r\n0\r\n\r\n$/)
})

it('a thousand small pieces arrive as they were written', async () => {
  const words = Array.from({ length: 1000 }, (_, i) => `${i} `.repeat(i % 50))
  const { port } = await startCluster(() => (_req, res) => {
    for (const word of words) res.write(word)
    res.end()
  })
  const response = await fetch(`http://127.0.0.1:${port}`)
  expect(await response.text()).toBe(words.join(''))
})

it('a client that does not read delays nobody else', async () => {
  const { port } = await startCluster(
    () => (req, res) => {
      if (req.url === '/big') res.end(Buffer.alloc(64 * MiB))
      else res.end('quick')
    },
    { workers: 1 },
  )
  const socket = await open(port)
  socket.pause()
  socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
  for (let i = 0; i < 20; i++) expect(await talk(port, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/quick$/)
})

it('an app that does not read stops the client; when it reads on, it gets everything', async () => {
  const blocks = 64
  let app: IncomingMessage | undefined
  let read = 0
  const { port } = await startCluster(() => (req, res) => {
    app = req
    req.on('end', () => res.end(String(read)))
  })
  const client = request({ port, host: '127.0.0.1', method: 'PUT', agent: false })
  const answer = new Promise<string>((resolve) =>
    client.on('response', (res) => res.setEncoding('utf8').on('data', resolve)),
  )
  let sent = 0
  const send = async () => {
    for (; sent < blocks; sent++)
      if (!client.write(block(sent))) await new Promise((resolve) => client.once('drain', resolve))
    client.end()
  }
  const sending = send()
  await until(() => app !== undefined)
  expect(await settled(() => sent)).toBeLessThan(16)
  app?.on('data', (chunk: Buffer) => {
    read += chunk.length
  })
  await sending
  expect(await answer).toBe(String(blocks * MiB))
})

it('what the app writes arrives at once, and not when the response ends', async () => {
  let res: ServerResponse | undefined
  const { port } = await startCluster(() => (_req, response) => {
    res = response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.flushHeaders()
  })
  const socket = await open(port)
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => received.includes('text/event-stream'))
  for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
    res?.write(event)
    await until(() => received.includes(event))
  }
})

it('a conversation: each chunk is answered before the next is sent', async () => {
  const { port } = await startCluster(() => (req, res) => void req.pipe(res))
  const answer = await talk(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n',
    { after: 'one', send: '3\r\ntwo\r\n' },
    { after: 'two', send: '0\r\n\r\n' },
  )
  expect(answer).toMatch(/\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n$/)
})

it('an app that answers first and reads on gets the rest of the body', async () => {
  let read = 0
  const { port, front } = await startCluster(() => (req, res) => {
    req.on('data', (chunk: Buffer) => {
      read += chunk.length
    })
    res.end('thanks already')
  })
  const size = 300_000
  await talk(
    port,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(1000)}`,
    { after: 'already', send: 'x'.repeat(size - 1000) },
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  expect(read).toBe(size)
  expect(front.stats()).toMatchObject({ active: 0, requests: 2 })
})

it('pipelined requests that run at the same time do not share a socket', async () => {
  const sockets = new Set<unknown>()
  const { port } = await startCluster(
    () => (req, res) => {
      sockets.add(req.socket)
      setImmediate(() => res.end())
    },
    { workers: 1 },
  )
  const get = (last = '') => `GET / HTTP/1.1\r\nHost: a\r\n${last}\r\n`
  await talk(port, get() + get() + get('Connection: close\r\n'))
  expect(sockets.size).toBe(3)
})

it('req.setTimeout: silence for that long is told, and ends the connection when nobody listens', async () => {
  const { port } = await startCluster(() => (req, res) => {
    if (req.url === '/told') res.setTimeout(10, () => res.end('too slow'))
    else req.setTimeout(10)
  })
  expect(await talk(port, 'GET /told HTTP/1.0\r\n\r\n')).toMatch(/too slow$/)
  expect(await talk(port, 'GET /untold HTTP/1.0\r\n\r\n')).toBe('')
})

it('an async context that a request enters does not reach another connection', async () => {
  const store = new AsyncLocalStorage<string>()
  const { port } = await startCluster(
    () => (req, res) => {
      res.end(store.getStore() ?? 'clean')
      store.enterWith(req.url ?? '')
    },
    { workers: 1 },
  )
  const answers = await Promise.all(
    ['/1', '/2', '/3'].map((path) => talk(port, `GET ${path} HTTP/1.0\r\n\r\n`)),
  )
  for (const answer of answers) expect(answer).toMatch(/clean$/)
})

it("Node's diagnostics channels tell of requests in the worker", async () => {
  const told: string[] = []
  const listener = (message: unknown, name: string | symbol) => {
    const { request, socket } = message as { request: IncomingMessage; socket: unknown }
    if (socket === request.socket && 'user' in request.socket) told.push(String(name))
  }
  const names = ['http.server.request.start', 'http.server.response.finish']
  for (const name of names) subscribe(name, listener)
  onTestFinished(() => {
    for (const name of names) unsubscribe(name, listener)
  })
  const { port } = await startCluster(() => (_req, res) => void res.end('ok'))
  await talk(port, 'GET / HTTP/1.0\r\n\r\n')
  expect(told).toEqual(names)
})
