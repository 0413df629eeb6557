// What the front does when something is missing, full, lost or closing.
import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Candidate, Member } from '@clusterwire/core/peer'
import type { MeshPeer } from '@clusterwire/core/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type FrontOptions,
  type HttpFront,
  httpFront,
  ListenError,
  type PoisonedRequest,
  PoisonedRequestError,
} from '../src/index.js'
import { cert, key } from './support/certificate.js'
import { call } from './support/client.js'
import { type MakeApp, serve, startCluster, startPlain } from './support/cluster.js'
import { open, talk, until } from './support/raw.js'

/** A grace that no test outlives. */
const NEVER = 3_600_000
/** More requests than a stack has room for, if each was answered on top of the one before. */
const CROWD = 5_000

it('a request that comes before any worker is ready waits for one', async () => {
  const { port, mesh, front } = await startCluster(undefined, { workers: 1 })
  const answer = call(port)
  await until(() => front.stats().waiting === 1)
  await serve(
    mesh.workers[0] as (typeof mesh.workers)[0],
    () => (_req, res) => void res.end('at last'),
  )
  expect((await answer).body).toBe('at last')
  expect(front.stats()).toMatchObject({ active: 0, waiting: 0, requests: 1, refused: 0 })
})

it('a request that waits too long is refused with 503 and Retry-After, as text or as JSON', async () => {
  const { port, front } = await startCluster(undefined, { queue: { timeout: 20 } })
  const [text, json] = await Promise.all([
    call(port),
    call(port, '/', { headers: { accept: 'application/json' } }),
  ])
  expect(text).toMatchObject({ status: 503, body: 'No worker is ready to answer. Try again.\n' })
  expect(text.headers).toMatchObject({ 'retry-after': '1', 'x-clusterwire-reason': 'no-worker' })
  expect(JSON.parse(json.body).error).toMatchObject({ code: 'NO_WORKER' })
  expect(json.headers['content-type']).toBe('application/json; charset=utf-8')
  expect(front.stats()).toMatchObject({ active: 0, waiting: 0, refused: 2 })
})

it('one request more than may wait is refused at once', async () => {
  const { port, front } = await startCluster(undefined, { queue: { limit: 1, timeout: 200 } })
  const first = call(port)
  await until(() => front.stats().waiting === 1)
  expect((await call(port)).headers['x-clusterwire-reason']).toBe('overloaded')
  expect((await first).headers['x-clusterwire-reason']).toBe('no-worker')
})

it('a client that goes away leaves its place in the queue', async () => {
  const { port, front } = await startCluster(undefined)
  const socket = await open(port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.stats().waiting === 1)
  socket.destroy()
  await until(() => front.stats().waiting === 0)
  expect(front.stats()).toMatchObject({ active: 0, abandoned: 1 })
})

it('requests go to the worker with the fewest pending, whatever connection they come by', async () => {
  const held: (() => void)[] = []
  const { port, mesh } = await startCluster((worker) => (req, res) => {
    if (req.url === '/hold') held.push(() => res.end())
    else res.end(String(worker.number))
  })
  const [one, two] = mesh.workers
  const holding = call(port, '/hold')
  await until(() => held.length === 1)
  const members = mesh.primary.peer.directory.all()
  const busy = [one, two].find((worker) =>
    members.some(({ number, pending }) => number === worker?.number && pending > 0),
  )
  const answers = await Promise.all(Array.from({ length: 5 }, async () => (await call(port)).body))
  expect(answers).toContain(String([one, two].find((worker) => worker !== busy)?.number))
  for (let i = 0; i < 10; i++) expect((await call(port)).body).not.toBe(String(busy?.number))
  held[0]?.()
  await holding
})

it('a worker that dies before it has begun a POST: another gets it, with its body', async () => {
  const ran: number[] = []
  const { port, mesh, front } = await startCluster((worker) => (req, res) => {
    ran.push(worker.number)
    let body = ''
    req.on('data', (chunk) => {
      body += chunk
    })
    req.on('end', () => res.end(`${worker.number}: ${body}`))
  })
  // The one that is chosen dies in the same turn in which the request is put on its link.
  let dead: number | undefined
  for (const worker of mesh.workers) {
    const member = mesh.primary.peer.directory.get(worker.number) as Member
    let pending = 0
    Object.defineProperty(member, 'pending', {
      get: () => pending,
      set(value: number) {
        pending = value
        if (dead !== undefined) return
        dead = worker.number
        worker.kill()
      },
    })
  }
  const answer = await call(port, '/', { method: 'POST', body: 'order' })
  expect(answer).toMatchObject({ status: 200 })
  expect(answer.body).toMatch(/: order$/)
  expect(ran).toHaveLength(1)
  expect(ran).not.toContain(dead)
  expect(front.stats()).toMatchObject({ retried: 1, active: 0 })
})

it('a worker that dies while it runs a GET: another gets it', async () => {
  let killed = 0
  const { port, front } = await startCluster((worker) => (_req, res) => {
    if (killed++ === 0) worker.kill()
    else res.end(String(worker.number))
  })
  expect(await call(port)).toMatchObject({ status: 200 })
  expect(front.stats()).toMatchObject({ retried: 1 })
})

it('a worker that dies while it runs a POST that may run twice: another gets it, body and all', async () => {
  let killed = 0
  const { port, front } = await startCluster(
    (worker) => async (req, res) => {
      if (killed++ === 0) return worker.kill()
      for await (const chunk of req) res.end(chunk)
    },
    { retry: { repeatable: ({ headers }) => headers['idempotency-key'] !== undefined } },
  )
  const order = { method: 'POST', body: 'order', headers: { 'idempotency-key': 'a' } }
  expect(await call(port, '/', order)).toMatchObject({ status: 200, body: 'order' })
  expect(front.stats()).toMatchObject({ retried: 1, refused: 0 })
  killed = 0
  expect((await call(port, '/', { method: 'POST' })).status).toBe(502)
})

describe('a request that has killed two workers', () => {
  const startKilled = async (options: FrontOptions = {}) => {
    const ran: number[] = []
    const app: MakeApp = (worker) => () => {
      ran.push(worker.number)
      worker.kill()
    }
    return { ...(await startCluster(app, { workers: 3, ...options })), ran }
  }

  it('is not given to a third, and is told of with its route and its workers', async () => {
    const { port, front, ran } = await startKilled()
    const told: PoisonedRequest[] = []
    front.events.on('poison', (request) => told.push(request))
    const { headers } = await call(port, '/kills?with=this', { method: 'PUT' })
    expect(headers['x-clusterwire-reason']).toBe('poison')
    expect(ran).toHaveLength(2)
    const requestId = expect.stringMatching(/./)
    expect(told).toEqual([{ method: 'PUT', url: '/kills?with=this', requestId, workers: ran }])
    expect(front.stats().refusedBy).toEqual({ POISON: 1 })
  })

  it('is told to onError, without its query, where nobody listens', async () => {
    const told: [unknown, string][] = []
    const { port, ran } = await startKilled({ onError: (...one) => told.push(one) })
    await call(port, '/kills?token=secret')
    expect(told).toEqual([[expect.any(PoisonedRequestError), 'poison']])
    expect(told[0]?.[0]).toMatchObject({
      ...{ code: 'POISON', method: 'GET', path: '/kills', workers: ran },
    })
    expect(String(told[0]?.[0])).not.toContain('secret')
  })

  it('what a listener throws is told, and goes no further', async () => {
    const told: string[] = []
    const { port, front } = await startKilled({ onError: (_error, where) => told.push(where) })
    front.events.on('poison', () => {
      throw new Error('oops')
    })
    expect((await call(port)).status).toBe(502)
    expect(told).toEqual(['a listener of "poison"'])
  })
})

it('a worker that dies while it runs a POST: 502, because running it again could do harm', async () => {
  let runs = 0
  const { port } = await startCluster((worker) => () => {
    runs++
    worker.kill()
  })
  const answer = await call(port, '/', { method: 'POST', body: 'order' })
  expect(answer).toMatchObject({ status: 502 })
  expect(answer.headers['x-clusterwire-reason']).toBe('worker-lost')
  expect(runs).toBe(1)
})

it('a worker that dies in the middle of a response: the connection is reset, the response is not ended', async () => {
  const { port, front } = await startCluster((worker) => (_req, res) => {
    res.write('the first half')
    setImmediate(() => setImmediate(() => worker.kill()))
  })
  await expect(call(port)).rejects.toThrow(/aborted|ECONNRESET/)
  const raw = await talk(port, 'GET / HTTP/1.0\r\n\r\n')
  expect(raw).not.toContain('0\r\n\r\n')
  expect(front.stats()).toMatchObject({ cut: 2, active: 0 })
})

it('a client that goes away: the request is aborted, the response closed, the place free', async () => {
  const events: string[] = []
  const { port, front, mesh } = await startCluster((worker) => (req, res) => {
    req.on('aborted', () => events.push('req aborted'))
    req.on('error', (error: NodeJS.ErrnoException) => events.push(`req error ${error.code}`))
    req.on('close', () => events.push('req close'))
    res.on('close', () => events.push(`res close ${res.destroyed} ${worker.peer.serving}`))
    req.socket.on('close', () => events.push(`socket close ${req.socket.destroyed}`))
    res.write('begun')
  })
  const socket = await open(port)
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf')
  await new Promise((resolve) => socket.once('data', resolve))
  const left = performance.now()
  socket.destroy()
  await until(() => events.length === 5)
  expect(performance.now() - left).toBeLessThan(50)
  expect(events).toEqual([
    'req aborted',
    'res close true 0',
    'socket close true',
    'req error ECONNRESET',
    'req close',
  ])
  expect(front.stats()).toMatchObject({ active: 0, abandoned: 1 })
  await until(() => mesh.primary.peer.pending === 0)
})

it('the app sees one socket for a connection, and its end', async () => {
  const sockets = new Set<unknown>()
  let closed = 0
  const { port } = await startCluster(
    () => (req, res) => {
      if (!sockets.has(req.socket)) req.socket.on('close', () => closed++)
      sockets.add(req.socket)
      res.end(String(req.socket.remotePort))
    },
    { workers: 1 },
  )
  const socket = await open(port)
  const { port: own } = socket.address() as AddressInfo
  for (let i = 0; i < 3; i++) {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const chunk = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
    expect(chunk.toString()).toContain(`\r\n\r\n${own}`)
  }
  expect([sockets.size, closed]).toEqual([1, 0])
  socket.destroy()
  await until(() => closed === 1)
})

it('a port that is taken: one clear line', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void taken.close())
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as AddressInfo
  const { front } = await startCluster(undefined)
  const error = await front.listen(port, '127.0.0.1').catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(ListenError)
  expect(error).toMatchObject({ code: 'LISTEN_FAILED', port })
  expect((error as Error).message).toBe(
    `Port ${port} of 127.0.0.1 is in use already (EADDRINUSE): stop the program that listens there, or choose another port`,
  )
})

it('close: running requests finish, with Connection: close, and idle connections are closed', async () => {
  let finish = () => {}
  const { port, front } = await startCluster(
    () => (req, res) => {
      if (req.url === '/idle') res.end('idle')
      else finish = () => res.end('done')
    },
    { grace: 5000 },
  )
  const idle = await open(port)
  idle.write('GET /idle HTTP/1.1\r\nHost: a\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))
  const idleClosed = new Promise((resolve) => idle.once('close', resolve))
  const running = talk(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.stats().active === 1)
  const closed = front.close()
  expect(front.close()).toBe(closed)
  await idleClosed
  finish()
  const answer = await running
  expect(answer).toContain('Connection: close\r\n')
  expect(answer).not.toMatch(/keep-alive/i)
  expect(answer).toMatch(/\r\n\r\ndone$/)
  await closed
  await expect(call(port)).rejects.toThrow('ECONNREFUSED')
})

it('close: what is not done when the grace is over is ended', async () => {
  const { port, front } = await startCluster(() => (_req, res) => void res.write('for ever'), {
    grace: 20,
  })
  const raw = talk(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.stats().active === 1)
  await front.close()
  expect(await raw).not.toContain('0\r\n\r\n')
  await until(() => front.stats().active === 0)
})

it('close: what is cut when the grace is over does not look complete, even where the end of the connection would be its end', async () => {
  const { port, front } = await startCluster(() => (_req, res) => void res.write('for ever'), {
    grace: 20,
  })
  const socket = await open(port)
  const failed = new Promise((resolve) => socket.once('error', resolve))
  const ended = new Promise((resolve) => socket.once('end', () => resolve('ended')))
  const begun = new Promise((resolve) => socket.once('data', resolve))
  socket.write('GET / HTTP/1.0\r\n\r\n')
  await begun
  await front.close()
  expect(await Promise.race([failed, ended])).toMatchObject({ code: 'ECONNRESET' })
})

it('close: a connection by which nothing has come is closed at once, one with a request is not', async () => {
  let finish = () => {}
  const { port, front } = await startCluster(
    () => (_req, res) => {
      finish = () => res.end('done')
    },
    { grace: NEVER },
  )
  const unused = await open(port)
  const unusedClosed = new Promise((resolve) => unused.once('close', resolve))
  const running = talk(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.stats().active === 1)
  const closed = front.close()
  await unusedClosed
  finish()
  expect(await running).toMatch(/\r\n\r\ndone$/)
  await closed
})

it('close: a first request that is here, but not read yet, is answered', async () => {
  const { port, front } = await startCluster(() => (_req, res) => void res.end('done'), {
    grace: NEVER,
  })
  const socket = await open(port)
  await call(port) // Came later: so the other has been accepted.
  const answer = new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
  const cut = new Promise((resolve) => socket.once('close', () => resolve('cut')))
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await front.close()
  expect(await Promise.race([answer, cut])).toMatch(/\r\n\r\ndone$/)
})

it('close: a next request that is here, but not read yet, is answered', async () => {
  const { port, front } = await startCluster(() => (req, res) => void res.end(req.url), {
    grace: NEVER,
  })
  const socket = await open(port)
  const came = () =>
    new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
  const first = came()
  socket.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n')
  await first
  const answer = came()
  const cut = new Promise((resolve) => socket.once('close', () => resolve('cut')))
  socket.write('GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
  await front.close()
  expect(await Promise.race([answer, cut])).toMatch(/\r\n\r\n\/next$/)
})

it('close: the connections of a server of one’s own are left alone', async () => {
  const { front } = await startCluster(() => (_req, res) => void res.end('served'))
  const server = createHttpServer(front.request)
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = await open((server.address() as AddressInfo).port)
  const answer = new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
  await front.close()
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(await answer).toMatch(/\r\n\r\nserved$/)
})

it('close: the primary keeps nothing of a front that is closed, not even when it has been used since', async () => {
  const { mesh } = await startCluster(() => (_req, res) => void res.end('served'))
  const listenAndClose = async () => {
    const front = httpFront(mesh.primary, { grace: 1, health: '/health' })
    const { port } = await front.listen(0, '127.0.0.1')
    expect((await call(port)).body).toBe('served')
    await front.close()
    const own = createHttpServer(front.request)
    await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve))
    expect((await call((own.address() as AddressInfo).port)).body).toBe('served')
    await new Promise((resolve) => own.close(resolve))
    return new WeakRef(front)
  }
  const fronts: WeakRef<HttpFront>[] = []
  for (let n = 0; n < 5; n++) fronts.push(await listenAndClose())
  await until(() => {
    globalThis.gc?.()
    return fronts.filter((front) => front.deref() !== undefined).length === 0
  })
})

it('close: on a server of one’s own a request still waits for a worker afterwards', async () => {
  const { front, mesh } = await startCluster(undefined)
  await front.close()
  const answer = call(await startPlain(front.request))
  await until(() => front.stats().waiting === 1)
  for (const worker of mesh.workers) await serve(worker, () => (_req, res) => res.end('served'))
  expect((await answer).body).toBe('served')
  expect(front.stats()).toMatchObject({ active: 0, waiting: 0 })
})

it('close: nobody listens afterwards, not even who was about to', async () => {
  const { front, port } = await startCluster(undefined)
  const other = await startCluster(undefined)
  await other.front.close()
  const listening = front.listen(other.port, '127.0.0.1')
  const closed = front.close()
  await expect(listening).rejects.toMatchObject({ code: 'DRAINING' })
  await closed
  await expect(call(other.port)).rejects.toThrow('ECONNREFUSED')
  await expect(call(port)).rejects.toThrow('ECONNREFUSED')
})

it('a balancer that fails: that request is refused, the error told, and others go on', async () => {
  const errors: unknown[] = []
  const answers: Record<string, (candidates: readonly Candidate[]) => unknown> = {
    '/throws': () => {
      throw new Error('the balancer’s secret')
    },
    '/null': () => null,
    '/stranger': ([one]) => ({ ref: one?.ref, member: { number: 7 } }),
    '/copy': ([one]) => ({ ...one }),
  }
  const { port, front } = await startCluster(() => (_req, res) => void res.end('ok'), {
    balance: {
      choose: (candidates, { url = '' }) => answers[url]?.(candidates) as Candidate | undefined,
    },
    onError: (error, where) => errors.push(`${where}: ${error}`),
  })
  for (const path of ['/throws', '/null', '/stranger']) {
    const refused = await call(port, path, { method: 'POST', body: 'order' })
    expect(refused).toMatchObject({ status: 500 })
    expect(refused.body).toBe('The request could not be given to a worker.\n')
    expect(refused.headers['x-clusterwire-reason']).toBe('unrouted')
    expect(await call(port, '/copy')).toMatchObject({ status: 200, body: 'ok' })
  }
  expect(errors).toEqual([
    'balance.choose(): Error: the balancer’s secret',
    expect.stringContaining('must return one of the candidates'),
    expect.stringContaining('must return one of the candidates'),
  ])
  expect(front.stats()).toMatchObject({ requests: 6, refused: 3, active: 0 })
})

it('a balancer that fails for everyone who waits: each is refused, however many they are', async () => {
  let told = 0
  const { port, front, mesh } = await startCluster(undefined, {
    workers: 1,
    queue: { limit: CROWD },
    balance: {
      choose() {
        throw new Error('broken')
      },
    },
    onError: () => told++,
  })
  const socket = await open(port)
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(CROWD))
  await until(() => front.stats().waiting === CROWD)
  await serve(mesh.workers[0] as MeshPeer, () => (_req, res) => void res.end())
  await until(() => received.split('HTTP/1.1 500 ').length === CROWD + 1)
  expect(told).toBe(CROWD)
  expect(front.stats()).toMatchObject({ waiting: 0, active: 0, refused: CROWD })
})

it('an answer that can not be passed on: the client is cut off, and so is who sent it', async () => {
  const { front, mesh } = await startCluster(() => (_req, res) => void res.end('ok'))
  const unable = (res: ServerResponse) => {
    res.end = () => {
      throw new Error('no')
    }
    return res
  }
  const server = createHttpServer((req, res) => front.request(req, unable(res)))
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await expect(call((server.address() as AddressInfo).port)).rejects.toThrow('ECONNRESET')
  expect(front.stats()).toMatchObject({ cut: 1, active: 0 })
  expect(front.stats().workers).toHaveLength(1)
  expect(mesh.primary.peer.pending).toBe(0)
})

it('every request has an id; a client can choose it only when it is trusted', async () => {
  const app = () => (req: { headers: unknown }, res: { end(text: string): void }) =>
    res.end(JSON.stringify(req.headers))
  const mine = { headers: { 'x-request-id': 'mine' } }
  const id = async (port: number) => JSON.parse((await call(port, '/', mine)).body)['x-request-id']
  const untrusting = await startCluster(app)
  const ids = [await id(untrusting.port), await id(untrusting.port)]
  expect(ids[0]).toMatch(/^[\w-]{10}-[a-z0-9]+\.1$/)
  expect(ids[1]).not.toBe(ids[0])
  expect(await id((await startCluster(app, { trust: true })).port)).toBe('mine')
})

it('X-Forwarded-* passes through, is added to, or is replaced', async () => {
  const app = () => (req: { headers: unknown }, res: { end(text: string): void }) =>
    res.end(JSON.stringify(req.headers))
  const sent = { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-proto': 'https', host: 'shop.test' }
  const seen = async (trust: boolean | undefined) => {
    const { port } = await startCluster(app, trust === undefined ? {} : { trust })
    return JSON.parse((await call(port, '/', { headers: sent })).body)
  }
  expect(await seen(undefined)).toMatchObject(sent)
  expect(await seen(true)).toMatchObject({
    'x-forwarded-for': '1.2.3.4, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'shop.test',
  })
  expect(await seen(false)).toMatchObject({
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'shop.test',
  })
})

it('the front answers on a server of one’s own, https too, and the app sees it', async () => {
  const { front } = await startCluster(() => (req, res) => {
    const { encrypted, authorized } = req.socket as TLSSocket
    res.end(JSON.stringify({ encrypted, authorized, url: req.url }))
  })
  const server = createHttpsServer({ key, cert }, front.request)
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const body = await new Promise<string>((resolve, reject) => {
    const options = { port, host: '127.0.0.1', path: '/a', rejectUnauthorized: false, agent: false }
    httpsRequest(options, (res) => res.setEncoding('utf8').on('data', resolve))
      .on('error', reject)
      .end()
  })
  expect(JSON.parse(body)).toEqual({ encrypted: true, authorized: false, url: '/a' })
})

it('a server that allows so many requests on a connection closes it behind the last', async () => {
  const { front } = await startCluster(() => (_req, res) => void res.end('ok'))
  const server = createHttpServer(front.request)
  server.maxRequestsPerSocket = 2
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  const answers = await talk(port, get, { after: 'ok', send: get })
  expect(answers.match(/Connection: \S+/g)).toEqual(['Connection: keep-alive', 'Connection: close'])
})
