// Apps that listen by themselves, in workers, without a change: what they see is what they would see alone.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { get } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { cert, key } from '../packages/http-adapter/test/support/certificate.js'
import { fixture, isAlive, TestCluster, until } from './support/cluster.js'
import { ask, Load } from './support/http.js'

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
  onTestFinished(() => rmSync(made, { recursive: true }))
  return made
}

/** Starts a cluster of an app. */
async function start(app: string, options: Record<string, unknown> = {}) {
  const cluster = new TestCluster({ app, ...options }, [], 'transparent-primary.js')
  await cluster.event('started')
  return cluster
}

/** The port behind a word in what the app has printed. */
async function portOf(cluster: TestCluster, word: string): Promise<number> {
  const match = await until(`"${word}"`, () =>
    new RegExp(`${word}\\D*(\\d+)$`, 'm').exec(cluster.stdout),
  )
  return Number(match[1])
}

async function expressApp(app = 'express-app.js') {
  const orders = path.join(folder(), 'orders')
  writeFileSync(orders, '')
  const cluster = await start(app, { env: { ORDERS: orders } })
  return {
    cluster,
    port: await portOf(cluster, 'app at'),
    begun: () => readFileSync(orders, 'utf8').trimEnd().split('\n'),
  }
}

const readyNumbers = async (cluster: TestCluster) =>
  (await cluster.workers()).filter(({ state }) => state === 'ready').map(({ number }) => number)

const readyPids = async (cluster: TestCluster) =>
  (await cluster.workers()).filter(({ state }) => state === 'ready').map(({ pid }) => pid)

it('an Express app: both workers answer on its port, and it sees the client', async () => {
  const { cluster, port } = await expressApp()
  const load = new Load(port)
  await expect.poll(() => load.pids.size).toBe(2)
  await load.stop()
  expect([...load.pids].sort()).toEqual((await readyPids(cluster)).sort())
  expect(JSON.parse((await ask({ port })).body)).toMatchObject({ ip: '127.0.0.1', args: [] })
})

it('an Express app, its workers killed under load: only what a dead one had begun fails, and nothing runs twice', async () => {
  const { cluster, port, begun } = await expressApp()
  const load = new Load(port, { orders: true })
  for (let kill = 0; kill < 2; kill++) {
    const answered = load.gets.length
    await expect.poll(() => load.gets.length, { timeout: 10_000 }).toBeGreaterThan(answered + 200)
    const [victim] = await readyPids(cluster)
    process.kill(victim as number, 'SIGKILL')
    await until('a new worker', async () => {
      const pids = await readyPids(cluster)
      return pids.length === 2 && !pids.includes(victim as number)
    })
  }
  await load.stop()
  expect(load.gets.filter((status) => status !== 200)).toEqual([])
  const failed = [...load.orders.values()].filter((status) => status !== 201)
  expect(failed).toEqual(failed.map(() => 502))
  const log = begun()
  expect(new Set(log).size).toBe(log.length)
  for (const [order, status] of load.orders) if (status === 201) expect(log).toContain(order)
})

it('an Express app is reloaded under load: no request fails', async () => {
  const { cluster, port } = await expressApp()
  const load = new Load(port, { orders: true })
  const before = await readyPids(cluster)
  await cluster.ask('reload')
  const after = await readyPids(cluster)
  await expect.poll(() => after.every((pid) => load.pids.has(pid))).toBe(true)
  await load.stop()
  expect(after.filter((pid) => before.includes(pid))).toEqual([])
  expect(load.gets.filter((status) => status !== 200)).toEqual([])
  expect([...load.orders.values()].filter((status) => status !== 201)).toEqual([])
})

it('SIGTERM to a worker whose app ends the process when its server has closed: no request fails', async () => {
  const { cluster, port } = await expressApp('says-goodbye.js')
  const load = new Load(port, { orders: true })
  await until('both workers', () => load.pids.size === 2)
  const [victim] = await readyPids(cluster)
  process.kill(victim as number, 'SIGTERM')
  await until('the end of it', () => !isAlive(victim as number))
  const answered = load.gets.length
  await until('more answers', () => load.gets.length > answered + 100)
  await load.stop()
  expect(cluster.stdout).toContain('goodbye')
  expect(load.gets.filter((status) => status !== 200)).toEqual([])
  expect([...load.orders.values()].filter((status) => status !== 201)).toEqual([])
})

it('a reload: the app hears SIGTERM when nothing runs any more, and no request fails', async () => {
  const { cluster, port } = await expressApp('says-goodbye.js')
  const load = new Load(port, { orders: true })
  await until('both workers', () => load.pids.size === 2)
  await cluster.ask('reload')
  await until('all four workers', () => load.pids.size === 4)
  await load.stop()
  expect(cluster.stdout.match(/goodbye/g)).toHaveLength(2)
  expect(load.gets.filter((status) => status !== 200)).toEqual([])
  expect([...load.orders.values()].filter((status) => status !== 201)).toEqual([])
})

it("an app's own WebSocket library", async () => {
  const { cluster, port } = await expressApp()
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  const [data] = await once(socket, 'message')
  const [pid, text] = String(data).split(' ')
  expect(text).toBe('hello')
  expect(await readyPids(cluster)).toContain(Number(pid))
  const closed = once(socket, 'close')
  await cluster.ask('close')
  expect((await closed)[0]).toBe(1001)
})

it('Fastify and Koa: each listens in its own way', async () => {
  const cluster = await start('frameworks.js')
  expect(await ask({ port: await portOf(cluster, 'http://127.0.0.1') })).toEqual({
    status: 200,
    body: 'fastify 127.0.0.1',
  })
  expect(await ask({ port: await portOf(cluster, 'koa at') })).toEqual({
    status: 200,
    body: 'koa 127.0.0.1',
  })
})

it('two servers on ports of their own: each gets its requests, and close() of all workers gives the port back', async () => {
  const cluster = await start('two-servers.cjs', { front: { releaseAfter: 50 } })
  const [open, admin] = [await portOf(cluster, 'public'), await portOf(cluster, 'admin')]
  expect(cluster.stdout).toContain('main true')
  expect(cluster.stdout).toContain('next line false null')
  await expect
    .poll(async () => (await cluster.ask('ports')) as unknown[])
    .toMatchObject([
      { port: open, workers: [1, 2] },
      { port: admin, workers: [1, 2] },
    ])
  expect(await ask({ port: open })).toEqual({ status: 200, body: 'public true' })

  expect(await ask({ port: admin })).toEqual({ status: 200, body: 'closed' })
  // The other worker still listens.
  expect(await ask({ port: open })).toEqual({ status: 200, body: 'public true' })
  while ((await ask({ port: admin })).status === 200)
    if (cluster.events.some(({ event }) => event === 'released')) break
  expect(await cluster.event('released')).toMatchObject({ port: open })
  expect(await ask({ port: open })).toEqual({ status: 0, body: '' })
  expect((await ask({ port: admin })).status).not.toBe(0)
})

const upgradeOf = (port: number) =>
  new Promise<string>((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'Lines' }
    const req = request({ port, host: '127.0.0.1', headers, agent: false })
    req.on('upgrade', (_res, socket) => resolve(socket.destroy() && 'upgraded'))
    req.on('response', async (res) => resolve((await res.setEncoding('utf8').toArray()).join('')))
    req.on('error', reject).end()
  })

it.each(['node:http', 'the front'])(
  'upgrades go to the server that takes them; another one of the app has them as ordinary requests (%s)',
  async (how) => {
    const app =
      how === 'the front'
        ? await start('upgrades.cjs', { workers: 1 })
        : new TestCluster({}, [], 'apps/upgrades.cjs')
    const [lines, plain] = [await portOf(app, 'lines'), await portOf(app, 'plain')]
    expect(await upgradeOf(lines)).toBe('upgraded')
    expect(await upgradeOf(plain)).toBe('ordinary Lines')
    await ask({ port: plain, path: '/listen' })
    await expect.poll(() => upgradeOf(plain)).toBe('upgraded')
    await ask({ port: plain, path: '/unlisten' })
    await expect.poll(() => upgradeOf(plain)).toBe('ordinary Lines')
    expect(await upgradeOf(lines)).toBe('upgraded')
  },
)

it.each([
  ['ordinary requests', 'plain'],
  ['upgrades', 'lines'],
])(
  '%s count for the worker that handles them: it is replaced when it has had enough',
  async (_what, word) => {
    const cluster = await start('upgrades.cjs', { workers: 1, recycle: { maxRequests: 20 } })
    const port = await portOf(cluster, word)
    for (let n = 0; n <= 20; n++) await upgradeOf(port)
    const { number, reason } = await cluster.event('worker.recycle')
    expect(number).toBe(1)
    // Its own limit is up to a fifth lower.
    expect(reason).toMatch(/^it has handled (1[6-9]|2[01]) requests$/)
    await expect.poll(() => readyNumbers(cluster), { timeout: 10_000 }).toEqual([2])
    expect(await upgradeOf(port)).not.toBe('')
  },
)

it('a server that is closed before it listens leaves its port to the next one', async () => {
  const other = createServer().listen(0)
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  await new Promise((resolve) => other.close(resolve))
  const cluster = await start('changes-its-mind.cjs', { env: { PORT: String(port) } })
  expect(cluster.stdout).toContain(`next line true ${port}\nsecond true ${port}\n`)
  expect(cluster.stdout).not.toContain('first')
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask({ port })))
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['second']))
})

it("a port that is taken: the app's server has the error that it would have alone", async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  onTestFinished(() => void other.close())
  const { port } = other.address() as { port: number }
  const env = { ...process.env, PORT: String(port) }
  const alone = await promisify(execFile)(process.execPath, [fixture('apps/error-event.cjs')], {
    env,
  }).catch((error) => error)
  const cluster = new TestCluster(
    { app: 'error-event.cjs', workers: 1, env },
    [],
    'transparent-primary.js',
  )
  expect(await cluster.exited).toEqual({ code: 3, signal: null })
  expect(cluster.stdout).toBe(alone.stdout)
  expect(JSON.parse(alone.stdout)).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen' })
})

it('a worker is ready when its module has been loaded: what fails behind listen() stops a reload', async () => {
  const cluster = await start('slow-module.js')
  const [{ port = 0 } = {}] = (await cluster.ask('ports')) as { port: number }[]
  expect((await ask({ port })).body).toBe('loaded: true')
  await expect(cluster.ask('reload', { BROKEN: 'yes' })).rejects.toMatchObject({
    message: expect.stringContaining('the rest of the module is broken'),
  })
  expect((await ask({ port })).body).toBe('loaded: true')
})

it('an app that has joined the cluster says itself when it is ready', async () => {
  const cluster = await start('joins.cjs')
  const [{ port = 0 } = {}] = (await cluster.ask('ports')) as { port: number }[]
  expect((await ask({ port })).body).toBe('warm: true')
})

it('what the primary can not listen for is listened for by node:cluster: https, unix sockets', async () => {
  const files = folder()
  const [KEY, CERT, SOCKET_PATH] = ['key', 'cert', 'socket'].map((name) =>
    path.join(files, name),
  ) as [string, string, string]
  writeFileSync(KEY, key)
  writeFileSync(CERT, cert)
  const cluster = await start('own-sockets.js', { env: { KEY, CERT, SOCKET_PATH } })
  const port = await portOf(cluster, 'https at')
  const [res] = await once(
    get({ host: '127.0.0.1', port, rejectUnauthorized: false, agent: false }),
    'response',
  )
  expect(res.statusCode).toBe(200)
  res.resume()
  expect((await ask({ socketPath: SOCKET_PATH })).status).toBe(200)
  await cluster.ask('reload')
  expect((await ask({ socketPath: SOCKET_PATH })).status).toBe(200)
  expect(await cluster.ask('ports')).toEqual([])
})

it('a primary without a transparent front: listen() says what is missing', async () => {
  const cluster = new TestCluster(
    { app: 'two-servers.cjs', workers: 1, without: true },
    [],
    'transparent-primary.js',
  )
  expect(await cluster.exited).toMatchObject({ code: 3 })
  expect(cluster.stderr).toContain('NO_TRANSPARENT_FRONT')
})
