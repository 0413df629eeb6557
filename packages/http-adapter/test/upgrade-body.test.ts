// Handshakes with a body. Up to version 24 Node takes all that comes behind the head for the connection's; since 26 it reads the body,
// and the connection brings what comes behind that. Behind a front the app gets what Node alone would give it.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { onBoth, serverOf } from './support/both.js'
import { serve, startCluster } from './support/cluster.js'
import { open, talk, until } from './support/raw.js'

const readsBodies = Number(process.versions.node.split('.')[0]) >= 26

const upgrade = (extra: string, method = 'POST') =>
  `${method} /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n${extra}\r\n`
const FOUR = 'Content-Length: 4\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n\r\n'

/** Sends each part when the answer contains what it waits for, then ends. Returns all that came. */
async function converse(port: number, ...parts: [after: string, send: string][]): Promise<string> {
  const socket = await open(port)
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
  })
  for (const [after, send] of parts) {
    await until(() => received.includes(after))
    socket.write(send, 'latin1')
  }
  socket.end()
  await once(socket, 'close')
  return received
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of req) body += (chunk as Buffer).toString('latin1')
  return body
}

/** Switches, and sends back what the connection brings. */
function mirror(_req: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.write(SWITCHED)
  if (head.length > 0) socket.unshift(head)
  socket.pipe(socket)
}

/** The same when it has read the body, which it tells. */
async function readFirst(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  if (head.length > 0) socket.unshift(head)
  const body = await bodyOf(req)
  socket.write(`${SWITCHED}${req.complete} [${body}] ${JSON.stringify(req.trailers)} `)
  socket.pipe(socket)
}

describe.skipIf(readsBodies)('where Node leaves it alone', () => {
  onBoth(
    'a body is what comes after the switch',
    () => serverOf(mirror),
    async (port) => {
      expect(await converse(port, ['', `${upgrade(FOUR)}body`], ['body', ' and more'])).toBe(
        `${SWITCHED}body and more`,
      )
    },
  )
})

describe.runIf(readsBodies)('where Node reads it', () => {
  const shapes: [name: string, head: string, body: string, trailers: string][] = [
    ['of known length', upgrade(FOUR), 'body', '{}'],
    ['in chunks', upgrade(CHUNKED), '2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n', '{}'],
    ['with trailers', upgrade(CHUNKED), '4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n', '{"x-sum":"1"}'],
  ]
  for (const [name, head, body, trailers] of shapes) {
    const expected = `${SWITCHED}true [body] ${trailers} behind`
    onBoth(
      `one ${name}, and what comes in one piece with it`,
      () => serverOf(readFirst),
      async (port) => {
        expect(await converse(port, ['', `${head}${body}behind`])).toBe(expected)
      },
    )

    onBoth(
      `one ${name} that comes later, and what follows it later still`,
      () =>
        serverOf((req, socket, rest) => {
          socket.write('HTTP/1.1 103 Early Hints\r\n\r\n')
          void readFirst(req, socket, rest)
        }),
      async (port) => {
        const parts: [string, string][] = [
          ['', head],
          ['103', body],
          ['101', 'beh'],
          ['beh', 'ind'],
        ]
        expect(await converse(port, ...parts)).toBe(`HTTP/1.1 103 Early Hints\r\n\r\n${expected}`)
      },
    )
  }

  onBoth(
    'an app that does not care for the body gets what follows it',
    () => serverOf(mirror),
    async (port) => {
      expect(await converse(port, ['', `${upgrade(FOUR)}bodybehind`])).toBe(`${SWITCHED}behind`)
      expect(await converse(port, ['', upgrade(FOUR)], ['101', 'bo'], ['', 'dybehind'])).toBe(
        `${SWITCHED}behind`,
      )
    },
  )

  let mayRead = false
  onBoth(
    'a long one is held back until the app reads it, and nothing is lost',
    () =>
      serverOf(async (req, socket, head) => {
        mayRead = false
        socket.write(SWITCHED)
        await until(() => mayRead)
        const body = await bodyOf(req)
        if (head.length > 0) socket.unshift(head)
        socket.write(`${body.length} ${/[^x]/.test(body)} `)
        socket.pipe(socket)
      }),
    async (port) => {
      const length = 30_000_000
      const socket = await open(port)
      socket.write(upgrade(`Content-Length: ${length}\r\n`))
      await once(socket, 'data')
      socket.end(`${'x'.repeat(length)}behind`)
      // The kernel's buffers are full.
      await new Promise((resolve) => setImmediate(resolve))
      expect(socket.writableLength).toBeGreaterThan(0)
      mayRead = true
      let received = ''
      for await (const chunk of socket) received += chunk
      expect(received).toBe(`${length} false behind`)
    },
  )

  onBoth(
    'a client that goes away in the middle of it: the app’s socket is closed, and the request stays incomplete',
    () =>
      serverOf((req, socket) => {
        socket.on('error', () => {})
        socket.on('close', () => closed.push(req.complete))
        socket.write(SWITCHED)
        req.resume()
      }),
    async (port) => {
      const socket = await open(port)
      socket.write(`${upgrade(FOUR)}bo`)
      await once(socket, 'data')
      socket.destroy()
      await until(() => closed.length > 0)
      expect(closed.splice(0)).toEqual([false])
    },
  )
  const closed: boolean[] = []

  it('a worker that dies before its answer: another gets the body too, and what follows it', async () => {
    let runs = 0
    const { port } = await startCluster((worker) =>
      serverOf(async (req, socket, head) => {
        if (++runs > 1) return readFirst(req, socket, head)
        await bodyOf(req)
        worker.kill()
      }),
    )
    const handshake = `${upgrade(CHUNKED, 'PUT')}4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\nbehind`
    expect(await converse(port, ['', handshake])).toBe(
      `${SWITCHED}true [body] {"x-sum":"1"} behind`,
    )
    expect(runs).toBe(2)
  })

  it('one that came before any worker waits with all that came behind it', async () => {
    const { port, mesh, front } = await startCluster(undefined)
    const received = converse(port, ['', upgrade(FOUR)], ['', 'bodybehind'], ['101', '.'])
    await until(() => front.stats().waiting === 1)
    await serve(mesh.workers[0] as never, () => serverOf(readFirst))
    expect(await received).toBe(`${SWITCHED}true [body] {} behind.`)
  })

  it('one that is too large is refused, also when its length is not told; what follows it has no limit', async () => {
    const { port, front } = await startCluster(() => serverOf(readFirst), { maxBodyBytes: 4 })
    const tooLarge = /^HTTP\/1\.1 413 [\s\S]*x-clusterwire-reason: body-too-large/
    expect(await talk(port, `${upgrade('Content-Length: 5\r\n')}xxxxx`)).toMatch(tooLarge)
    const chunked = `${upgrade(CHUNKED)}5\r\nxxxxx\r\n0\r\n\r\n`
    expect(await talk(port, chunked)).toMatch(tooLarge)
    const fits = ['', `${upgrade(FOUR)}bodyhas no limit`] as [string, string]
    expect(await converse(port, fits)).toMatch(/\[body\] \{\} has no limit$/)
    expect(front.stats()).toMatchObject({ active: 0, upgraded: 0, refused: 2 })
  })

  it('a client that is still sending it can read why it is refused', async () => {
    const { port } = await startCluster(undefined, { queue: { limit: 1, timeout: 5 } })
    const socket = await open(port)
    socket.write(upgrade('Content-Length: 100000\r\n'))
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 503 [\s\S]*reason: no-worker/)
    socket.write('x'.repeat(100_000))
    await once(socket, 'end')
  })

  it('the front’s own pages answer without it', async () => {
    const { port, front } = await startCluster(() => serverOf(readFirst), { health: '/raw' })
    const page = /^HTTP\/1\.1 200 OK[\s\S]*Connection: close/
    expect(await talk(port, upgrade(FOUR, 'GET'))).toMatch(page)
    expect(await talk(port, `${upgrade(CHUNKED, 'GET')}2\r\nbo`)).toMatch(page)
    expect(front.stats()).toMatchObject({ active: 0, upgraded: 0 })
  })

  it('an upgrade with a body behind a request that is not answered yet waits for that answer', async () => {
    const { port } = await startCluster(() =>
      serverOf(readFirst, (_req, res) => void setTimeout(() => res.end('first '), 20)),
    )
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    expect(await converse(port, ['', get + upgrade(FOUR)], ['first ', 'bodybehind'])).toMatch(
      /^HTTP\/1\.1 200 OK[\s\S]*\r\n\r\nfirst HTTP\/1\.1 101 [\s\S]*\[body\] \{\} behind$/,
    )
  })
})
