// WebSockets by the ws package, client and server: they behave behind the front as they do under Node alone.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { MeshPeer } from '@clusterwire/core/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import WebSocket, { type ServerOptions, WebSocketServer } from 'ws'
import { serveHttp } from '../src/index.js'
import { onBoth } from './support/both.js'
import { cert, key } from './support/certificate.js'
import { type Setup, startCluster } from './support/cluster.js'
import { until } from './support/raw.js'

const MiB = 1024 * 1024

/** A server that answers each message with the same. */
function echo(options: ServerOptions = {}): Server {
  const server = createHttpServer((_req, res) => void res.end('ordinary'))
  const sockets = new WebSocketServer({ server, ...options })
  sockets.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  return server
}

function client(
  port: number,
  protocols: string[] = [],
  options: WebSocket.ClientOptions = {},
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?room=1`, protocols, options)
  socket.on('error', () => {})
  onTestFinished(() => socket.terminate())
  return socket
}

async function connected(port: number): Promise<WebSocket> {
  const socket = client(port)
  await once(socket, 'open')
  return socket
}

async function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return { code, reason: String(reason) }
}

/** The workers' ends are gone too. */
async function nothingIsLeft({ front, mesh }: Setup): Promise<void> {
  await until(() => front.stats().active === 0 && front.stats().upgraded === 0)
  await until(() => mesh.primary.peer.pending === 0)
  for (const { peer } of mesh.workers) expect(peer.serving).toBe(0)
}

describe('as under Node', () => {
  onBoth('text and bytes come back as they were', echo, async (port) => {
    const socket = await connected(port)
    socket.send('grüße 🌍')
    expect((await once(socket, 'message')).map(String)).toEqual(['grüße 🌍', 'false'])
    socket.send(Buffer.from([0, 255]))
    expect(await once(socket, 'message')).toEqual([Buffer.from([0, 255]), true])
    socket.send('')
    expect((await once(socket, 'message')).map(String)).toEqual(['', 'false'])
  })

  onBoth(
    'the subprotocol is the app’s choice',
    () => echo({ handleProtocols: (offered) => [...offered][1] ?? false }),
    async (port) => {
      const socket = client(port, ['one', 'two'])
      await once(socket, 'open')
      expect(socket.protocol).toBe('two')
    },
  )

  onBoth('a message in fragments, with a ping between them', echo, async (port) => {
    const socket = await connected(port)
    const message = once(socket, 'message')
    const pong = once(socket, 'pong')
    socket.send('one ', { fin: false })
    socket.ping('are you there')
    socket.send('two ', { fin: false })
    socket.send('three', { fin: true })
    expect(String(await pong)).toBe('are you there')
    expect(String((await message)[0])).toBe('one two three')
  })

  onBoth(
    'a ping from the server is answered',
    () => {
      const server = createHttpServer()
      new WebSocketServer({ server }).on('connection', (socket) => {
        socket.ping('x')
        socket.on('pong', (data) => socket.send(`heard ${data}`))
      })
      return server
    },
    async (port) => {
      expect(String((await once(client(port), 'message'))[0])).toBe('heard x')
    },
  )

  onBoth(
    'compressed messages',
    () => echo({ perMessageDeflate: { threshold: 0 } }),
    async (port) => {
      const socket = client(port, [], { perMessageDeflate: true })
      await once(socket, 'open')
      expect(socket.extensions).toContain('permessage-deflate')
      const text = 'compressible '.repeat(100_000)
      socket.send(text)
      expect(String((await once(socket, 'message'))[0])).toBe(text)
    },
  )

  onBoth(
    'a message of 10 MiB',
    () => echo({ perMessageDeflate: false }),
    async (port) => {
      const socket = await connected(port)
      const bytes = randomBytes(10 * MiB)
      socket.send(bytes)
      const [back] = (await once(socket, 'message')) as [Buffer]
      expect(back.equals(bytes)).toBe(true)
    },
  )

  onBoth('thousands of small messages keep their order', echo, async (port) => {
    const socket = await connected(port)
    const received: number[] = []
    socket.on('message', (data) => received.push(Number(data)))
    const sent = Array.from({ length: 20_000 }, (_, i) => i)
    for (const number of sent) socket.send(String(number))
    await until(() => received.length === sent.length, 8000)
    expect(received).toEqual(sent)
  })

  onBoth(
    'a close from the client reaches the server, and its answer the client',
    () => {
      const server = createHttpServer()
      new WebSocketServer({ server }).on('connection', (socket) => {
        socket.on('close', (code, reason) => heard.push(`${code} ${reason}`))
      })
      return server
    },
    async (port) => {
      const socket = await connected(port)
      socket.close(4001, 'enough')
      expect(await closed(socket)).toEqual({ code: 4001, reason: 'enough' })
      await until(() => heard.pop() === '4001 enough')
    },
  )
  const heard: string[] = []

  onBoth(
    'a close from the server reaches the client',
    () => {
      const server = createHttpServer()
      new WebSocketServer({ server }).on('connection', (socket) => socket.close(4002, 'go'))
      return server
    },
    async (port) => {
      expect(await closed(client(port))).toEqual({ code: 4002, reason: 'go' })
    },
  )

  onBoth('a client that breaks the protocol is closed by the library', echo, async (port) => {
    const socket = await connected(port)
    const end = closed(socket)
    // A frame without a mask.
    ;(socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(
      Buffer.from([0x81, 0x01, 0x61]),
    )
    expect(await end).toMatchObject({ code: 1002 })
  })

  onBoth(
    'a refused handshake’s status reaches the client',
    () => {
      const server = createHttpServer()
      const sockets = new WebSocketServer({ noServer: true })
      server.on('upgrade', (req, socket, head) => {
        if (req.url === '/chat?room=1') {
          socket.write('HTTP/1.1 401 Unauthorized\r\nX-Why: no token\r\n')
          socket.write('Content-Length: 0\r\n\r\n')
          socket.destroy()
        } else sockets.handleUpgrade(req, socket, head, () => {})
      })
      return server
    },
    async (port) => {
      const [, response] = await once(client(port), 'unexpected-response')
      expect([response.statusCode, response.headers['x-why']]).toEqual([401, 'no token'])
    },
  )

  onBoth(
    'the library refuses another path itself',
    () => echo({ path: '/other' }),
    async (port) => {
      const [, response] = await once(client(port), 'unexpected-response')
      expect(response.statusCode).toBe(400)
    },
  )

  onBoth('what listens to requests still gets them', echo, async (port) => {
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('ordinary')
  })
})

it('500 connections at once, and nothing is left of them', async () => {
  const setup = await startCluster(() => echo())
  const sockets = await Promise.all(Array.from({ length: 500 }, () => connected(setup.port)))
  expect(setup.front.stats()).toMatchObject({ upgraded: 500, requests: 500 })
  // They do not make their workers look busy.
  for (const { pending } of setup.front.stats().workers) expect(pending).toBe(0)
  const answers = sockets.map(async (socket, i) => {
    socket.send(`${i}`)
    return String((await once(socket, 'message'))[0])
  })
  expect(await Promise.all(answers)).toEqual(sockets.map((_, i) => `${i}`))
  const ends = sockets.map(closed)
  for (const socket of sockets) socket.close()
  await Promise.all(ends)
  await nothingIsLeft(setup)
  expect(setup.front.stats()).toMatchObject({ abandoned: 0, cut: 0 })
})

it('a listener that is given to serveHttp gets upgrades by an option, or by the server that it returns', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', (socket) => socket.send('welcome'))
  const upgrade = (...[req, socket, head]: Parameters<typeof sockets.handleUpgrade>) =>
    sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit('connection', ws, req))
  const { mesh, port } = await startCluster(undefined)
  const [one, two] = mesh.workers as [MeshPeer, MeshPeer]
  serveHttp(one, (_req, res) => void res.end(), { upgrade: upgrade as never })
  await one.ready()
  expect(String((await once(client(port), 'message'))[0])).toBe('welcome')
  one.kill()
  const server = serveHttp(two, (_req, res) => void res.end())
  await two.ready()
  server.on('upgrade', upgrade as never)
  await until(() => mesh.primary.peer.directory.candidates('http.upgrade').length === 1)
  expect(String((await once(client(port), 'message'))[0])).toBe('welcome')
})

it('the app sees the client, its connection and the front’s headers', async () => {
  const seen: unknown[] = []
  const { front } = await startCluster(
    () => {
      const server = createHttpServer()
      new WebSocketServer({ server }).on('connection', (socket, { headers, socket: own }) => {
        const { remoteAddress, encrypted } = own as TLSSocket
        seen.push([remoteAddress, encrypted, headers['x-forwarded-proto']])
        expect(headers['x-request-id']).toMatch(/\.1$/)
        socket.close()
      })
      return server
    },
    { trust: false },
  )
  const own = createHttpsServer({ key, cert }, front.request).on('upgrade', front.upgrade)
  onTestFinished(() => void own.close())
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve))
  const url = `wss://127.0.0.1:${(own.address() as AddressInfo).port}`
  await closed(new WebSocket(url, { rejectUnauthorized: false }))
  expect(seen).toEqual([['127.0.0.1', true, 'https']])
})

it('a client that is gone: the worker’s socket closes', async () => {
  const codes: number[] = []
  const setup = await startCluster(() => {
    const server = createHttpServer()
    new WebSocketServer({ server }).on('connection', (socket) =>
      socket.on('close', (code) => codes.push(code)),
    )
    return server
  })
  const socket = await connected(setup.port)
  socket.terminate()
  await until(() => codes.length === 1)
  expect(codes).toEqual([1006])
  await nothingIsLeft(setup)
})

it('a worker that dies: the client’s connection is cut, and the next one is given to another', async () => {
  const setup = await startCluster((worker) => {
    const server = createHttpServer()
    new WebSocketServer({ server }).on('connection', (socket) => {
      socket.send('here')
      socket.on('message', () => worker.kill())
    })
    return server
  })
  const socket = client(setup.port)
  await once(socket, 'message')
  const end = closed(socket)
  socket.send('die')
  expect(await end).toMatchObject({ code: 1006 })
  expect(setup.front.stats()).toMatchObject({ cut: 1, active: 0, upgraded: 0 })
  expect(String((await once(client(setup.port), 'message'))[0])).toBe('here')
})

it('a worker that dies before it has answered a handshake: another answers it', async () => {
  let killed = 0
  const { port, front } = await startCluster((worker) => {
    const server = createHttpServer()
    const sockets = new WebSocketServer({ noServer: true })
    server.on('upgrade', (req, socket, head) => {
      if (killed++ === 0) worker.kill()
      else sockets.handleUpgrade(req, socket, head, (ws) => ws.send(`${worker.number}`))
    })
    return server
  })
  const [number] = await once(client(port), 'message')
  expect(['1', '2']).toContain(String(number))
  expect(front.stats()).toMatchObject({ retried: 1, upgraded: 1 })
})

it('a client that reads nothing holds the app back, and nothing is lost', async () => {
  let written = 0
  let isHeld = false
  const { port } = await startCluster(() => {
    const server = createHttpServer()
    new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
      const fill = () => {
        while (written < 64 && socket.bufferedAmount === 0) {
          written++
          socket.send(Buffer.alloc(MiB, written), () => setImmediate(fill))
        }
        isHeld = socket.bufferedAmount > 0
      }
      fill()
    })
    return server
  })
  const socket = client(port)
  const received: number[] = []
  socket.on('message', (data: Buffer) => received.push(data[0] as number))
  await once(socket, 'message')
  socket.pause()
  await until(() => isHeld)
  await new Promise(setImmediate)
  expect(written).toBeLessThan(64)
  socket.resume()
  await until(() => received.length === 64, 8000)
  expect(received).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
})

it('an app that reads nothing holds the client back, and nothing is lost', async () => {
  let server: WebSocket | undefined
  const received: number[] = []
  const setup = await startCluster(() => {
    const own = createHttpServer()
    new WebSocketServer({ server: own, perMessageDeflate: false }).on('connection', (socket) => {
      server = socket
      socket.pause()
      socket.on('message', (data: Buffer) => received.push(data[0] as number))
    })
    return own
  })
  const socket = await connected(setup.port)
  let sent = 0
  for (let i = 1; i <= 64; i++) socket.send(Buffer.alloc(MiB, i), () => sent++)
  await until(() => sent > 0)
  await until(() => socket.bufferedAmount > 0)
  expect(sent).toBeLessThan(64)
  server?.resume()
  await until(() => received.length === 64, 8000)
  expect(received).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
  socket.close()
  await nothingIsLeft(setup)
})

/** What a worker's process does when it is told to finish. */
function drain(worker: MeshPeer): Promise<unknown> {
  return (worker as unknown as { runDrainHooks(): Promise<unknown> }).runDrainHooks()
}

describe('coming to an end', () => {
  it('H7: a worker that drains: each of its WebSockets gets 1001, between two messages, and no other worker’s', async () => {
    const setup = await startCluster(undefined)
    for (const worker of setup.mesh.workers) {
      serveHttp(worker, echo(), { upgradeGrace: 20 })
      await worker.ready()
    }
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connected(setup.port)))
    const big = randomBytes(MiB)
    const ends = sockets.map(async (socket) => {
      const broken: unknown[] = []
      socket.on('message', (data: Buffer) => {
        if (!data.equals(big)) broken.push(data)
        socket.send(big)
      })
      socket.send(big)
      const { code } = await closed(socket)
      return { code, broken }
    })
    const [one, two] = setup.mesh.workers as [MeshPeer, MeshPeer]
    await drain(one)
    await until(() => one.peer.serving === 0)
    expect(two.peer.serving).toBe(10)
    await drain(two)
    expect(await Promise.all(ends)).toEqual(sockets.map(() => ({ code: 1001, broken: [] })))
    await nothingIsLeft(setup)
  })

  it('the app may say goodbye itself', async () => {
    const { mesh, port } = await startCluster(undefined, { workers: 1 })
    const [worker] = mesh.workers as [MeshPeer]
    const server = createHttpServer()
    const sockets = new WebSocketServer({ server })
    serveHttp(worker, server)
    worker.onDrain(() => {
      for (const socket of sockets.clients) socket.close(1012, 'back soon')
    })
    await worker.ready()
    const socket = await connected(port)
    const end = closed(socket)
    await drain(worker)
    expect(await end).toEqual({ code: 1012, reason: 'back soon' })
    await until(() => worker.peer.serving === 0)
  })

  it('a client that does not answer a goodbye does not hold the worker up', async () => {
    const { mesh, port, front } = await startCluster(undefined, { workers: 1 })
    const [worker] = mesh.workers as [MeshPeer]
    serveHttp(worker, echo(), { upgradeGrace: 0 })
    await worker.ready()
    const socket = await connected(port)
    socket.pause()
    await drain(worker)
    await until(() => worker.peer.serving === 0)
    expect(front.stats()).toMatchObject({ upgraded: 0 })
  })

  it('the front’s close ends WebSockets politely, and waits for that', async () => {
    const setup = await startCluster(undefined, { grace: 5000 })
    for (const worker of setup.mesh.workers) {
      serveHttp(worker, echo(), { upgradeGrace: 10 })
      await worker.ready()
    }
    const ends = (await Promise.all([1, 2, 3, 4].map(() => connected(setup.port)))).map(closed)
    await setup.front.close()
    expect(await Promise.all(ends)).toEqual(ends.map(() => ({ code: 1001, reason: '' })))
    await nothingIsLeft(setup)
  })

  it('the front’s close is not held up by a connection that nobody ends', async () => {
    const { front, port } = await startCluster(() => echo(), { grace: 10 })
    const end = closed(await connected(port))
    await front.close()
    expect(await end).toMatchObject({ code: 1006 })
  })
})
