// How long a request may take, and what becomes of what it has begun.
import { createServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { contract, procedure } from '@clusterwire/core'
import type { Member } from '@clusterwire/core/peer'
import { createMemoryMesh, type MeshPeer, TestClock } from '@clusterwire/core/testing'
import { expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { httpFront, requestScope } from '../src/index.js'
import { type Answer, call } from './support/client.js'
import { serve, startCluster } from './support/cluster.js'
import { open, talk, until } from './support/raw.js'

const inner = contract('inner', {
  wait: procedure({ input: z.null(), output: z.null() }),
  meta: procedure({ input: z.null(), output: z.record(z.string(), z.string()) }),
})

/** Asks another worker something that takes for ever, and tells how that ended there. */
function nested(worker: MeshPeer, endings: unknown[]): () => Promise<unknown> {
  worker.serve(inner, {
    wait: (_input, { signal, deadline, meta }) => {
      endings.push({ entered: true, limited: deadline < Number.POSITIVE_INFINITY, meta })
      return new Promise(() => {
        signal.addEventListener('abort', () => endings.push((signal.reason as Error).name))
      })
    },
    meta: (_input, { meta }) => ({ ...meta }),
  })
  const client = worker.client(inner)
  return () => client.wait(null).catch((error: { code: string }) => endings.push(error.code))
}

it('a request whose time is up before its response has begun: 504, and the app hears of it', async () => {
  const events: string[] = []
  const { port, front } = await startCluster(
    () => (req, res) => {
      const scope = requestScope(req)
      scope?.signal.addEventListener('abort', () =>
        events.push((scope.signal.reason as { code: string }).code),
      )
      events.push(String((scope?.deadline ?? 0) - performance.now() <= 50))
      res.on('close', () => events.push(`close, finished: ${res.writableFinished}`))
    },
    { timeout: 50 },
  )
  const answer = await call(port, '/', { headers: { accept: 'application/json' } })
  expect(answer).toMatchObject({ status: 504 })
  expect(answer.headers['x-clusterwire-reason']).toBe('deadline-exceeded')
  expect(JSON.parse(answer.body).error).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await until(() => events.length === 3)
  expect(events).toEqual(['true', 'DEADLINE_EXCEEDED', 'close, finished: false'])
  expect(front.stats()).toMatchObject({ active: 0, refusedBy: { DEADLINE_EXCEEDED: 1 } })
  expect(front.stats().workers.reduce((sum, { errors }) => sum + errors, 0)).toBe(1)
})

it('a response that has begun when the time is up is cut, so that nobody takes it for complete', async () => {
  const { port, front } = await startCluster(
    () => (_req, res) => void res.write('the first half'),
    { timeout: 50 },
  )
  await expect(call(port)).rejects.toThrow(/aborted|ECONNRESET/)
  expect(front.stats()).toMatchObject({ cut: 1, active: 0 })
})

it('a request whose time is up while it waits for a worker: 504, and its place is free', async () => {
  const { port, front } = await startCluster(undefined, { timeout: 30 })
  expect((await call(port)).status).toBe(504)
  expect(front.stats()).toMatchObject({ waiting: 0, active: 0 })
})

it('a request that comes back from its worker in the moment in which its time is up: 504, and it does not wait for another', async () => {
  const clock = new TestClock()
  const mesh = await createMemoryMesh({ workers: 1, clock })
  const [worker] = mesh.workers as [MeshPeer]
  await serve(worker, () => () => {})
  const front = httpFront(mesh.primary, { grace: 1, deadline: { header: 'x-timeout' } })
  const { port } = await front.listen(0, '127.0.0.1')
  onTestFinished(async () => {
    await front.close()
    await mesh.close()
  })
  const { peer } = mesh.primary
  const answers: Promise<Answer>[] = []
  // The first has its time looked after first, so that the exchange of the second ends behind what else happens at its time.
  for (const ms of ['500', '1000']) {
    answers.push(call(port, '/', { headers: { 'x-timeout': ms } }))
    await until(() => front.stats().active === answers.length)
  }
  peer.recaller = async () => () => true
  clock.after(1_000, () => {
    const [member] = peer.directory.ready() as [Member]
    peer.directory.apply({ number: member.number, state: 'draining' })
    void peer.recall(member)
  })
  await clock.advance(1_000)
  for (const { status } of await Promise.all(answers)) expect(status).toBe(504)
  expect(front.stats()).toMatchObject({ recalled: 1, waiting: 0, active: 0 })
})

it('a function says how long each request may take; one that throws is told, and refuses that request', async () => {
  const errors: string[] = []
  const { port } = await startCluster(
    () => (req, res) => void setTimeout(() => res.end('done'), req.url === '/slow' ? 60_000 : 0),
    {
      timeout: ({ url }) => {
        if (url === '/broken') throw new Error('broken')
        return url === '/slow' ? 20 : undefined
      },
      onError: (error, where) => errors.push(`${where}: ${error}`),
    },
  )
  expect((await call(port, '/slow')).status).toBe(504)
  expect((await call(port, '/fast')).status).toBe(200)
  expect((await call(port, '/broken')).status).toBe(500)
  expect(errors).toEqual(['timeout(): Error: broken'])
})

it('a client says how long it will wait, where that is allowed: never longer than the front allows', async () => {
  const left: number[] = []
  const { port } = await startCluster(
    () => (req, res) => {
      const { deadline = 0 } = requestScope(req) ?? {}
      left.push(deadline - performance.now())
      res.end()
    },
    { timeout: 10_000, deadline: { header: 'X-Request-Timeout', max: 5_000 } },
  )
  const wait = async (value: string) =>
    (await call(port, '/', { headers: { 'x-request-timeout': value } })).status
  expect(await wait('1000')).toBe(200)
  expect(await wait('99999999')).toBe(200)
  // What is no number of milliseconds is not there.
  for (const nonsense of ['-1', '1.5', '1e3', 'soon', '']) expect(await wait(nonsense)).toBe(200)
  expect(left[0]).toBeLessThanOrEqual(1000)
  expect(left[1]).toBeGreaterThan(1000)
  expect(left[1]).toBeLessThanOrEqual(5000)
  for (const ms of left.slice(2)) expect(ms).toBeGreaterThan(5000)
  // No time at all: refused before anybody begins.
  expect(await wait('0')).toBe(504)
  expect(left).toHaveLength(7)
})

it('without a timeout nothing ends a request, and the header means nothing', async () => {
  const deadlines: unknown[] = []
  const { port } = await startCluster(() => (req, res) => {
    deadlines.push(requestScope(req)?.deadline)
    res.end()
  })
  await call(port, '/', { headers: { 'x-request-timeout': '1' } })
  expect(deadlines).toEqual([Number.POSITIVE_INFINITY])
})

it('calls that an app makes for a request inherit its deadline, its end, and its id', async () => {
  const endings: unknown[] = []
  const { port } = await startCluster(
    (worker) => {
      const ask = nested(worker, endings)
      return (_req, _res) => void ask()
    },
    { timeout: 100, trust: true },
  )
  const answer = await call(port, '/', { headers: { 'x-request-id': 'mine' } })
  expect(answer.status).toBe(504)
  await until(() => endings.length === 3)
  expect(endings[0]).toEqual({ entered: true, limited: true, meta: { 'x-request-id': 'mine' } })
  // Its own time is up, or that of the request it belongs to: whichever is noticed first.
  for (const ending of endings.slice(1)) expect(ending).toMatch(/deadline|cancelled/i)
})

it('calls that an upgrade listener makes belong to its request: its id, and its end', async () => {
  const endings: unknown[] = []
  const { port, front } = await startCluster(
    (worker) => {
      const ask = nested(worker, endings)
      const client = worker.client(inner)
      const tell = async (socket: Duplex) => socket.end(JSON.stringify(await client.meta(null)))
      return createServer().on('upgrade', (req, socket) => {
        if (req.url === '/tell') void tell(socket)
        else void ask()
      })
    },
    { timeout: (req) => (req.url === '/short' ? 100 : 0), trust: true },
  )
  const upgrade = (path: string) =>
    `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Lines\r\nX-Request-Id: mine\r\n\r\n`
  expect(await talk(port, upgrade('/tell'))).toBe('{"x-request-id":"mine"}')
  const asked = { entered: true, meta: { 'x-request-id': 'mine' } }
  const gone = await open(port)
  gone.write(upgrade('/'))
  await until(() => endings.length === 1)
  gone.resetAndDestroy()
  await until(() => endings.length === 3)
  expect(await talk(port, upgrade('/short'))).toMatch(/^HTTP\/1\.1 504 /)
  await until(() => endings.length === 6)
  expect(endings.filter((one) => typeof one === 'object')).toMatchObject([asked, asked])
  expect(endings.filter((one) => one === 'CANCELLED')).toHaveLength(2)
  expect(front.stats()).toMatchObject({ active: 0 })
})

it('the scope of an upgrade: its signal aborts when the client is gone, and it has no deadline', async () => {
  const scopes: unknown[] = []
  const { port } = await startCluster(
    () =>
      createServer().on('upgrade', (req) => {
        const { signal, deadline } = requestScope(req) ?? {}
        scopes.push(deadline)
        signal?.addEventListener('abort', () => scopes.push('gone'))
      }),
    { timeout: 10_000 },
  )
  const socket = await open(port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Lines\r\n\r\n')
  await until(() => scopes.length === 1)
  socket.resetAndDestroy()
  await until(() => scopes.length === 2)
  expect(scopes).toEqual([Number.POSITIVE_INFINITY, 'gone'])
})

it('a client that goes away cancels the calls that were made for it', async () => {
  const endings: unknown[] = []
  const { port } = await startCluster((worker) => {
    const ask = nested(worker, endings)
    return (_req, _res) => void ask()
  })
  const socket = await open(port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => endings.length === 1)
  socket.destroy()
  await until(() => endings.length === 3)
  expect(endings).toContain('CANCELLED')
})

it('a call made when the body is there belongs to the request too, on each request of a connection its own', async () => {
  const { port } = await startCluster((worker) => {
    nested(worker, [])
    const client = worker.client(inner)
    return (req, res) => {
      const own = req.headers['x-request-id']
      const answer = async () =>
        res.end(JSON.stringify({ own, inherited: await client.meta(null) }))
      req.on('end', () => void answer()).resume()
    }
  })
  const post = (body: string) =>
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const big = JSON.stringify({ text: 'x'.repeat(90_000) })
  const answers = await talk(
    port,
    post('{"a":1}'),
    { after: '}}', send: post(big) },
    { after: '}}HTTP/1.1 200', send: post('{}').replace('Host', 'Connection: close\r\nHost') },
  )
  const seen = [
    ...answers.matchAll(/\{"own":"([^"]+)","inherited":\{"x-request-id":"([^"]+)"\}\}/g),
  ]
  expect(seen).toHaveLength(3)
  for (const [, own, inherited] of seen) expect(inherited).toBe(own)
  expect(new Set(seen.map(([, own]) => own)).size).toBe(3)
})

it('refuses options that are no times and no names', async () => {
  await expect(startCluster(undefined, { timeout: -1 })).rejects.toThrow('timeout')
  await expect(startCluster(undefined, { deadline: { header: 'a b' } })).rejects.toThrow('header')
  await expect(
    startCluster(undefined, { deadline: { header: 'a', max: 2 ** 40 } }),
  ).rejects.toThrow('deadline.max')
})
