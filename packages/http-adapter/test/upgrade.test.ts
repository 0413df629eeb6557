// Upgrades to any protocol: a raw connection between the client and the app, and what happens when there is no such thing.
import { once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { HttpFront } from '../src/index.js'
import { onBoth, serverOf } from './support/both.js'
import { serve, startCluster, startPlain } from './support/cluster.js'
import { open, talk, until, withoutVariables } from './support/raw.js'

const upgrade = (extra = '', method = 'GET') =>
  `${method} /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n${extra}\r\n`
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n\r\n'

/** Switches, and sends everything back, the end too. */
function mirror(_req: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.write(SWITCHED)
  if (head.length > 0) socket.write(head)
  socket.pipe(socket)
}

/** What a connection brings until its end, and how it ends. */
async function everything(socket: Socket): Promise<{ text: string; error?: string }> {
  let text = ''
  let error: string | undefined
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    error = code
  })
  await new Promise((resolve) => socket.once('close', resolve))
  return { text, ...(error !== undefined && { error }) }
}

describe('as under Node', () => {
  onBoth(
    'bytes go both ways, and each side ends for itself',
    () => serverOf(mirror),
    async (port) => {
      const socket = await open(port)
      const all = everything(socket)
      socket.write(upgrade())
      socket.write('one ')
      socket.end('two')
      expect(await all).toEqual({ text: `${SWITCHED}one two` })
    },
  )

  onBoth(
    'what comes in one piece with the request is not lost',
    () => serverOf(mirror),
    async (port) => {
      const socket = await open(port)
      const all = everything(socket)
      socket.end(`${upgrade()}already here`)
      expect((await all).text).toBe(`${SWITCHED}already here`)
    },
  )

  onBoth(
    'an app that ends first still hears the client',
    () =>
      serverOf((_req, socket) => {
        let heard = ''
        socket.end(SWITCHED)
        socket.on('data', (chunk: Buffer) => {
          heard += chunk
        })
        socket.on('end', () => heardToTheEnd.push(heard))
      }),
    async (port) => {
      const socket = await open(port, { allowHalfOpen: true })
      socket.write(upgrade())
      socket.resume()
      await once(socket, 'end')
      socket.write('still ')
      socket.end('here')
      await until(() => heardToTheEnd.pop() === 'still here')
    },
  )
  const heardToTheEnd: string[] = []

  onBoth(
    'a handshake that the app cuts off',
    () => serverOf((_req, socket) => void socket.destroy()),
    async (port) => {
      const socket = await open(port)
      const all = everything(socket)
      socket.write(upgrade())
      expect(await all).toEqual({ text: '' })
    },
  )

  onBoth(
    'what is written before a destroy arrives',
    () =>
      serverOf((_req, socket) => {
        socket.write('HTTP/1.1 403 Forbidden\r\n')
        socket.write('Content-Length: 0\r\n\r\n')
        socket.destroy()
      }),
    async (port) => {
      expect(await talk(port, upgrade())).toBe(
        'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n',
      )
    },
  )

  onBoth(
    'a reset by the app is one for the client',
    () =>
      serverOf((_req, socket) => {
        socket.write(SWITCHED)
        socket.once('data', () => (socket as Socket).resetAndDestroy())
      }),
    async (port) => {
      const socket = await open(port)
      const all = everything(socket)
      socket.write(upgrade())
      await once(socket, 'data')
      socket.write('x')
      expect(await all).toMatchObject({ error: 'ECONNRESET' })
    },
  )

  const events: string[] = []
  onBoth(
    'a client’s reset is an error, then the close, on the app’s socket',
    () =>
      serverOf((_req, socket) => {
        events.length = 0
        socket.on('error', ({ code }: NodeJS.ErrnoException) => events.push(`error ${code}`))
        socket.on('close', (hadError: boolean) => events.push(`close ${hadError}`))
        socket.on('end', () => events.push('end'))
        socket.resume()
        socket.write(SWITCHED)
      }),
    async (port) => {
      const socket = await open(port)
      socket.write(upgrade())
      await once(socket, 'data')
      socket.resetAndDestroy()
      await until(() => events.length === 2)
      expect(events).toEqual(['error ECONNRESET', 'close true'])
    },
  )

  onBoth(
    'a socket does what apps and libraries ask of it',
    () =>
      serverOf((req, socket) => {
        const own = socket as Socket
        expect(req.socket).toBe(socket)
        expect([req.complete, req.method, req.url]).toEqual([true, 'GET', '/raw'])
        expect([own.remoteAddress, own.remoteFamily, own.connecting]).toEqual([
          '127.0.0.1',
          'IPv4',
          false,
        ])
        expect(own.setNoDelay().setKeepAlive().setTimeout(0).ref()).toBe(own)
        const seen: string[] = []
        own.cork()
        own.write(SWITCHED, () => seen.push('first'))
        own.write('grüße ', 'latin1', () => seen.push('second'))
        own.uncork()
        own.setTimeout(5, () => {
          own.setTimeout(0)
          own.end(`${seen} ${own.bytesWritten}`, () => {
            expect([own.writableEnded, own.writableFinished]).toEqual([true, true])
          })
        })
      }),
    async (port) => {
      const socket = await open(port)
      const all = everything(socket)
      socket.write(upgrade())
      await once(socket, 'end')
      socket.end()
      expect((await all).text).toBe(`${SWITCHED}gr\xfc\xdfe first,second ${SWITCHED.length + 6}`)
    },
  )

  onBoth(
    'megabytes both ways at once',
    () => serverOf(mirror),
    async (port) => {
      const socket = await open(port)
      let received = 0
      let sum = 0
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length
        for (let i = 0; i < chunk.length; i += 997) sum += chunk[i] as number
      })
      socket.write(upgrade())
      await once(socket, 'data')
      const piece = Buffer.alloc(1024 * 1024, 7)
      for (let i = 0; i < 20; i++) if (!socket.write(piece)) await once(socket, 'drain')
      socket.end()
      await once(socket, 'end')
      expect(received).toBe(SWITCHED.length + 20 * piece.length)
      expect(sum).toBeGreaterThan(0)
    },
  )
})

describe('where nobody listens to upgrades', () => {
  const ordinary: RequestListener = (req, res) => {
    let body = ''
    req.on('data', (chunk) => {
      body += chunk
    })
    req.on('end', () => res.end(`ordinary ${req.headers.upgrade} ${body}`))
  }

  onBoth(
    'the request is one like any other, its body and the next request too',
    () => createHttpServer(ordinary),
    async (port) => {
      const next = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
      const answers = await talk(port, upgrade('Content-Length: 4\r\n', 'POST'), 'body', {
        after: 'Lines body',
        send: next,
      })
      expect(withoutVariables(answers)).toMatch(
        /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nordinary Lines bodyHTTP\/1\.1 200 OK\r\n[\s\S]*ordinary undefined $/,
      )
    },
  )

  it('on a server of one’s own, which has given the connection away: the same, and the connection ends; 501 with a body', async () => {
    const { front } = await startCluster(() => ordinary)
    const server = createHttpServer(front.request).on('upgrade', front.upgrade)
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const answer = await talk(port, upgrade())
    expect(answer).toMatch(
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*ordinary Lines $/,
    )
    const refused = await talk(port, upgrade('Content-Length: 4\r\n', 'POST'), 'body')
    expect(refused).toMatch(
      /^HTTP\/1\.1 501 Not Implemented\r\n[\s\S]*x-clusterwire-reason: not-upgraded/,
    )
    expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, requests: 2, refused: 1 })
  })

  it('one that came before any worker waits, and is then what the app makes of it', async () => {
    const { port, mesh, front } = await startCluster(undefined)
    const [one, two] = mesh.workers
    const early = talk(port, upgrade())
    await until(() => front.stats().waiting === 1)
    await serve(one as never, () => ordinary)
    expect(await early).toMatch(/ordinary Lines $/)
    await serve(two as never, () => serverOf(mirror, ordinary))
    const socket = await open(port)
    const all = everything(socket)
    socket.end(upgrade())
    expect((await all).text).toBe(SWITCHED)
  })
})

it('an upgrade that waits too long is refused, one too many at once', async () => {
  const { port, front } = await startCluster(undefined, { queue: { limit: 1, timeout: 50 } })
  const first = talk(port, upgrade())
  await until(() => front.stats().waiting === 1)
  expect(await talk(port, upgrade())).toMatch(/^HTTP\/1\.1 503 [\s\S]*reason: overloaded/)
  expect(await first).toMatch(/^HTTP\/1\.1 503 [\s\S]*reason: no-worker/)
  expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, waiting: 0, refused: 2 })
})

it('a client that goes away while it waits leaves its place', async () => {
  const { port, front } = await startCluster(undefined)
  const socket = await open(port)
  socket.write(upgrade())
  await until(() => front.stats().waiting === 1)
  socket.resetAndDestroy()
  await until(() => front.stats().waiting === 0)
  expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, abandoned: 1 })
})

describe('a client that ends its side while its upgrade waits', () => {
  /** What it gets of an app that upgrades it when it has ended. */
  async function endEarly(port: number, whenEnded: () => Promise<void>): Promise<string> {
    const socket = await open(port, { allowHalfOpen: true })
    const all = everything(socket)
    socket.end(`${upgrade()}all that there is`)
    await whenEnded()
    return (await all).text
  }
  const expected = `${SWITCHED}all that there is`

  /** Resolves when the front has certainly seen the end: another upgrade has come later, and gone. */
  async function endSeen(front: HttpFront, port: number): Promise<void> {
    await until(() => front.stats().waiting === 1)
    const later = await open(port)
    later.write(upgrade())
    await until(() => front.stats().waiting === 2)
    later.resetAndDestroy()
    await until(() => front.stats().waiting === 1)
  }

  it('is upgraded all the same (node:http)', async () => {
    const server = serverOf(() => {})
    const port = await startPlain(server)
    const received = endEarly(port, async () => {
      const [req, socket, head] = await once(server, 'upgrade')
      await open(port)
      mirror(req, socket, head)
    })
    expect(await received).toBe(expected)
  })

  it('is upgraded all the same (the front)', async () => {
    const { port, mesh, front } = await startCluster(undefined)
    const received = endEarly(port, async () => {
      await endSeen(front, port)
      for (const worker of mesh.workers) await serve(worker, () => serverOf(mirror))
    })
    expect(await received).toBe(expected)
    await until(() => front.stats().active === 0)
  })

  it('is dropped where nobody listens to upgrades, as a request’s client is', async () => {
    const seen: unknown[] = []
    const { port, mesh, front } = await startCluster(undefined)
    const received = endEarly(port, async () => {
      await endSeen(front, port)
      for (const worker of mesh.workers) await serve(worker, () => (req) => void seen.push(req.url))
    })
    expect(await received).toBe('')
    expect(front.stats()).toMatchObject({ active: 0, waiting: 0, upgraded: 0, abandoned: 2 })
    expect(seen).toEqual([])
  })
})

it('a worker that dies: the client’s connection is reset, whatever had come by it', async () => {
  const { port, front } = await startCluster((worker) =>
    serverOf((_req, socket) => {
      socket.write(SWITCHED)
      socket.on('data', () => worker.kill())
    }),
  )
  const socket = await open(port)
  const all = everything(socket)
  socket.write(upgrade())
  await once(socket, 'data')
  socket.write('die')
  expect(await all).toEqual({ text: SWITCHED, error: 'ECONNRESET' })
  expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, cut: 1 })
})

it('an upgrade that has killed two workers is not given to a third', async () => {
  let runs = 0
  const { port, front } = await startCluster(
    (worker) =>
      serverOf(() => {
        runs++
        worker.kill()
      }),
    { workers: 3 },
  )
  const told: unknown[] = []
  front.events.on('poison', ({ workers }) => told.push(workers.length))
  expect(await talk(port, upgrade())).toMatch(/^HTTP\/1\.1 502 [\s\S]*reason: poison/)
  expect(runs).toBe(2)
  expect(told).toEqual([2])
})

it('requests’ timeouts do not apply', async () => {
  const { port } = await startCluster(() => serverOf(mirror), {
    server: {
      requestTimeout: 30,
      headersTimeout: 20,
      keepAliveTimeout: 10,
      connectionsCheckingInterval: 5,
    },
  })
  const slow = await open(port)
  const cut = everything(slow)
  const socket = await open(port)
  socket.write(upgrade())
  await once(socket, 'data')
  // What the timeouts are for is cut by them meanwhile.
  slow.write('GET / HTTP/1.1\r\nHost')
  expect((await cut).text).toContain('408 Request Timeout')
  socket.write('still here')
  expect(String((await once(socket, 'data'))[0])).toBe('still here')
})

it('a worker that drains: a protocol that is not known to us gets an end, and then a close', async () => {
  const { port, mesh } = await startCluster(undefined, { workers: 1 })
  const [worker] = mesh.workers
  await serve(worker as never, () => serverOf(mirror), { upgradeGrace: 5 })
  const socket = await open(port)
  socket.write(upgrade())
  await once(socket, 'data')
  await (worker as unknown as { runDrainHooks(): Promise<unknown> }).runDrainHooks()
  // The client keeps its own side open, which helps it not at all.
  await once(socket, 'end')
  await until(() => worker?.peer.serving === 0)
})

it('an app that throws in its listener: as under Node, an uncaught error, and other connections go on', async () => {
  const uncaught: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  const { port } = await startCluster(() =>
    serverOf((req, socket, head) => {
      if (req.headers['x-throw']) throw new Error('mine')
      mirror(req, socket, head)
    }),
  )
  const bad = await open(port)
  bad.write(upgrade('X-Throw: 1\r\n'))
  await until(() => uncaught.length === 1)
  expect(uncaught).toMatchObject([{ message: 'mine' }])
  const socket = await open(port)
  const all = everything(socket)
  socket.end(upgrade())
  expect((await all).text).toBe(SWITCHED)
})

it('hostile handshakes: none does harm, and nothing is left of any', async () => {
  const setup = await startCluster(() => serverOf(mirror))
  const { port, front, mesh } = setup
  const shapes = [
    'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: Lines\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n',
    'GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n\r\n',
    upgrade('Transfer-Encoding: chunked\r\n', 'POST'),
    upgrade('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', 'POST'),
    upgrade('Content-Length: -1\r\n'),
    upgrade('Content-Length: 9\r\n', 'POST'),
    `${upgrade('Transfer-Encoding: chunked\r\n', 'POST')}3\r\nabc\r\nwhat?\r\n`,
    `${upgrade('Transfer-Encoding: chunked\r\n', 'POST')}3\r\nabc\r\n0\r\n\r\n${upgrade()}`,
    upgrade('Upgrade: websocket, h2c\r\n'),
    upgrade(`X: ${'y'.repeat(20_000)}\r\n`),
    upgrade('X: a\rb\r\n'),
    `${upgrade()}${upgrade()}${upgrade()}`,
    `${upgrade()}${'\0'.repeat(300_000)}`,
  ]
  for (const shape of shapes)
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const)
      for (const after of [0, 1, Math.floor(shape.length / 2), shape.length]) {
        const socket = await open(port)
        socket.resume()
        socket.write(shape.slice(0, after))
        await new Promise(setImmediate)
        socket[leave]()
      }
  await until(() => front.stats().active === 0 && front.stats().upgraded === 0)
  await until(() => mesh.primary.peer.pending === 0)
  for (const { peer } of mesh.workers) await until(() => peer.serving === 0)
  const socket = await open(port)
  const all = everything(socket)
  socket.end(upgrade())
  expect((await all).text).toBe(SWITCHED)
})

describe('what strangers may send', () => {
  /** Answers `/slow` late. */
  const slowly: RequestListener = (req, res) => {
    if (req.url === '/slow') setTimeout(() => res.end('slow '), 100)
    else res.end(`ordinary ${req.url}`)
  }
  const slow = 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'

  it('an upgrade behind a request that is not answered yet waits for that answer, on any server', async () => {
    const { front, port } = await startCluster(() => slowly, { health: '/raw' })
    const server = createHttpServer(front.request).on('upgrade', front.upgrade)
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const own = (server.address() as AddressInfo).port
    for (const at of [own, port]) {
      const answers = await talk(at, slow + slow + upgrade('Connection: close\r\n'))
      expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
      expect(answers.match(/slow /g)).toHaveLength(2)
    }
    expect(front.stats().active).toBe(0)
  })

  it('a reset behind an upgrade of the front’s own pages harms nobody', async () => {
    const { front, port } = await startCluster(() => serverOf(mirror, slowly), { health: '/raw' })
    for (let n = 0; n < 50; n++) {
      const socket = await open(port)
      socket.write(upgrade())
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
      socket.resetAndDestroy()
    }
    expect(await talk(port, 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /ordinary \/x$/,
    )
    expect(front.stats().active).toBe(0)
  })

  it('a client that ends while its upgrade waits leaves no connection behind', async () => {
    const { front, port } = await startCluster(undefined, { queue: { timeout: 50 } })
    const sockets = await Promise.all(Array.from({ length: 5 }, () => open(port)))
    for (const [n, socket] of sockets.entries()) {
      socket.end(upgrade())
      if (n % 2 === 0) socket.resume()
    }
    await until(() => front.stats().refused === 5 && front.stats().connections.open === 0)
    expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, waiting: 0 })
  })
})
