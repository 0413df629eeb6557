// Faults of the front with real processes: rows H1 to H8 of the fault matrix that need any (H4 and the rest of H6: packages/http-adapter/test).
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { until } from '../support/cluster.js'
import { fault } from '../support/fault.js'

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number; readonly state: string }[]
  readonly stats: Readonly<Record<string, unknown>>
}

/** A primary with a front in a process of its own. */
async function startFront(primary: object = {}, front: object = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
  const orders = path.join(folder, 'orders')
  writeFileSync(orders, '')
  const script = fileURLToPath(new URL('../fixtures/http-primary.js', import.meta.url))
  const env = { ...process.env, ORDERS: orders }
  const options = [{ workers: 2, ...primary }, front].map((one) => JSON.stringify(one))
  const child = fork(script, options, { env })
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
    rmSync(folder, { recursive: true })
  })
  const [{ port }] = (await once(child, 'message')) as [State]
  return {
    child,
    port,
    begun: () => readFileSync(orders, 'utf8').split('\n').slice(0, -1),
    note: (line: string) => appendFileSync(orders, `${line}\n`),
  }
}

async function stateOf(child: ChildProcess): Promise<State> {
  child.send('tell')
  return ((await once(child, 'message')) as [State])[0]
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Makes a request on a connection that stays open. Rejects when it is cut. */
async function ask(port: number, method: string, path: string, json?: object): Promise<Answer> {
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const headers = { 'content-type': 'application/json' }
  const req = request({ agent, port, host: '127.0.0.1', method, path, headers })
  req.end(json && JSON.stringify(json))
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of res.setEncoding('utf8')) body += chunk
  return { status: res.statusCode ?? 0, headers: res.headers, body }
}

/** Begins a download, and reads nothing of it. */
async function begin(port: number, path: string): Promise<IncomingMessage> {
  const req = get({ agent: false, port, host: '127.0.0.1', path })
  onTestFinished(() => void req.destroy())
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  return res
}

/** Reads a download to its end, and counts its bytes. */
async function drain(res: IncomingMessage): Promise<number> {
  let bytes = 0
  res.on('data', ({ length }: Buffer) => {
    bytes += length
  })
  await once(res, 'end')
  return bytes
}

/** Resolves when a count has not changed for a while: then whoever counts is waiting. */
async function settled(count: () => number): Promise<number> {
  for (;;) {
    const before = count()
    await new Promise((resolve) => setTimeout(resolve, 100))
    if (count() === before && before > 0) return before
  }
}

/** KiB that a process has in memory. */
function rssOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function tryTo(run: () => void): void {
  try {
    run()
  } catch {
    // It has ended.
  }
}

/** Resolves when every worker is ready again, those that replace a dead one included. */
async function recovered(child: ChildProcess, dead: number): Promise<void> {
  await until('every worker', async () => {
    const { workers } = await stateOf(child)
    return workers.length === 2 && workers.every((one) => one.state === 'ready' && one.pid !== dead)
  })
}

/** Sends one request; the status is 0 when the connection was cut. */
function send(agent: Agent, port: number, order?: string): Promise<number> {
  return new Promise((resolve) => {
    const req = request({
      ...{ agent, port, host: '127.0.0.1' },
      ...(order === undefined
        ? { path: '/whoami' }
        : { path: '/orders', method: 'POST', headers: { 'content-type': 'application/json' } }),
    })
    req.on('response', (res) => {
      res.resume()
      res.on('error', () => resolve(0))
      res.on('end', () => resolve(res.statusCode ?? 0))
    })
    req.on('error', () => resolve(0))
    req.end(order === undefined ? undefined : JSON.stringify({ id: order }))
  })
}

fault(
  'H1',
  'workers are killed under load: only what a dead one had begun fails, and nothing runs twice',
  async (record) => {
    const { child, port, begun } = await startFront()
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    onTestFinished(() => agent.destroy())
    const gets: number[] = []
    const posts = new Map<string, number>()
    let running = true
    const load = Array.from({ length: 32 }, async (_, client) => {
      for (let turn = 0; running; turn++)
        if (turn % 2 === 0) gets.push(await send(agent, port))
        else posts.set(`${client}-${turn}`, await send(agent, port, `${client}-${turn}`))
    })
    let victims: readonly number[] = []
    for (let kill = 0; kill < 3; kill++) {
      const answered = gets.length
      await expect.poll(() => gets.length, { timeout: 20_000 }).toBeGreaterThan(answered + 500)
      const { workers } = await stateOf(child)
      const victim = workers.find(({ state }) => state === 'ready')?.pid as number
      process.kill(victim, 'SIGKILL')
      victims = [...victims, victim]
      const ready = async () =>
        (await stateOf(child)).workers.filter(
          ({ state, pid }) => state === 'ready' && !victims.includes(pid),
        ).length
      await expect.poll(ready, { timeout: 10_000 }).toBe(2)
    }
    running = false
    await Promise.all(load)

    expect(gets.filter((status) => status !== 200)).toEqual([])
    const log = begun()
    expect(new Set(log).size, 'no order runs twice').toBe(log.length)
    const failed = [...posts.values()].filter((status) => status !== 201)
    // 502 says that the app had been given the request. Each kill can have met what was on one of two workers.
    expect(failed).toEqual(failed.map(() => 502))
    expect(failed.length).toBeLessThan(victims.length * 32)
    for (const [order, status] of posts) if (status === 201) expect(log).toContain(order)
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, waiting: 0, cut: 0 })
    const answered = gets.length + posts.size - failed.length
    record({ calls: gets.length + posts.size, settled: { answered, WORKER_LOST: failed.length } })
  },
)

fault(
  'H1',
  'a worker is killed while it runs a GET, before its response: another one answers it',
  async (record) => {
    const { child, port, begun } = await startFront()
    const answer = ask(port, 'GET', '/hang-once')
    await until('its beginning', () => begun().length === 1)
    const struck = performance.now()
    process.kill(Number(begun()[0]), 'SIGKILL')
    const { status } = await answer
    expect(status).toBe(200)
    expect(new Set(begun()).size).toBe(2)
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, retried: 1, refused: 0 })
    await recovered(child, Number(begun()[0]))
    record({ calls: 1, settled: { answered: 1 }, recoveredMs: performance.now() - struck })
  },
)

fault(
  'H1',
  'a worker is killed while it runs a POST, before its response: 502, and it is not run again',
  async (record) => {
    const { child, port, begun } = await startFront()
    const answer = ask(port, 'POST', '/hang-once')
    await until('its beginning', () => begun().length === 1)
    const struck = performance.now()
    process.kill(Number(begun()[0]), 'SIGKILL')
    const { status, headers } = await answer
    expect(status).toBe(502)
    expect(headers['x-clusterwire-reason']).toBe('worker-lost')
    expect(begun()).toHaveLength(1)
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, retried: 0, refused: 1 })
    await recovered(child, Number(begun()[0]))
    record({ calls: 1, settled: { WORKER_LOST: 1 }, recoveredMs: performance.now() - struck })
  },
)

for (const [what, path, head] of [
  ['chunked', '/half', 'HTTP/1.1'],
  ['with a length', '/half?length=8', 'HTTP/1.1'],
  ['that ends with its connection', '/half', 'HTTP/1.0'],
] as const)
  fault(
    'H2',
    `a worker is killed in the middle of a response ${what}: the connection is reset, never ended`,
    async (record) => {
      const { child, port, begun } = await startFront()
      const socket = connect(port, '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      let received = ''
      socket.on('data', (bytes) => {
        received += bytes
      })
      const end = new Promise<string>((resolve) => {
        socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)))
        socket.on('end', () => resolve('a clean end'))
      })
      socket.write(`GET ${path} ${head}\r\nHost: a\r\n\r\n`)
      await until('its first half', () => begun().length === 1 && received.includes('half'))
      const struck = performance.now()
      process.kill(Number(begun()[0]), 'SIGKILL')
      expect(await end).toBe('ECONNRESET')
      expect(received).not.toContain('\r\n0\r\n')
      expect((await stateOf(child)).stats).toMatchObject({ active: 0, cut: 1, retried: 0 })
      await recovered(child, Number(begun()[0]))
      record({ calls: 1, settled: { cut: 1 }, recoveredMs: performance.now() - struck })
    },
  )

fault(
  'H3',
  'a client goes away while its request runs: the worker hears of it, and its place is free',
  async (record) => {
    const { child, port, begun } = await startFront({ workers: 1 }, { concurrency: 1 })
    const req = request({ port, host: '127.0.0.1', path: '/never', agent: false })
    req.on('error', () => {})
    req.end()
    await until('its beginning', () => begun().includes('entered'))
    const struck = performance.now()
    req.destroy()
    await until('its end', () => begun().includes('closed, not answered'))
    const recoveredMs = performance.now() - struck
    expect((await ask(port, 'GET', '/whoami')).status).toBe(200)
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, abandoned: 1 })
    record({ calls: 1, settled: { abandoned: 1 }, recoveredMs })
  },
)

fault(
  'H5',
  'a client that is slow downloads 100 MiB: its worker waits, and nobody’s memory grows',
  async (record) => {
    const blocks = 100
    const room = 64 * 1024
    const { child, port, begun } = await startFront({ workers: 1 })
    // What a first download leaves in either process is not counted.
    await drain(await begin(port, '/blocks/8'))
    const [worker] = (await stateOf(child)).workers
    const pids = [child.pid as number, worker?.pid as number]
    const before = pids.map(rssOf)
    const written = begun().length
    const res = await begin(port, `/blocks/${blocks}`)
    const paused = await settled(() => begun().length - written)
    expect(paused).toBeLessThan(blocks / 4)
    let most = [0, 0]
    const look = () => {
      most = pids.map((pid, i) => Math.max(most[i] as number, rssOf(pid) - (before[i] as number)))
    }
    look()
    res.on('data', look)
    expect(await drain(res)).toBe(blocks * 1024 * 1024)
    expect(Math.max(...most)).toBeLessThan(room)
    const note = `most resident memory gained: primary ${most[0]} KiB, worker ${most[1]} KiB`
    record({ calls: 1, settled: { answered: 1 }, note })
  },
)

fault(
  'H6',
  'a worker stands still: it is suspect, and gets nothing; when all do, they are used all the same',
  async (record) => {
    const { child, port } = await startFront({
      liveness: { interval: 50, suspectAfter: 100, stuckAfter: 60_000 },
    })
    const pids = (await stateOf(child)).workers.map(({ pid }) => pid)
    const stop = (pid: number) => {
      process.kill(pid, 'SIGSTOP')
      onTestFinished(() => void tryTo(() => process.kill(pid, 'SIGCONT')))
    }
    const states = async (wanted: readonly string[]) =>
      until(`states ${wanted}`, async () => {
        const now = (await stateOf(child)).workers.map(({ state }) => state)
        return now.join() === wanted.join()
      })
    stop(pids[0] as number)
    await states(['suspect', 'ready'])
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, 'GET', '/whoami')))
    for (const { status, body } of answers) {
      expect(status).toBe(200)
      expect(JSON.parse(body).pid).toBe(pids[1])
    }
    stop(pids[1] as number)
    await states(['suspect', 'suspect'])
    const waiting = Array.from({ length: 4 }, () => ask(port, 'GET', '/whoami'))
    await until('requests', async () => (await stateOf(child)).stats.active === 4)
    expect((await stateOf(child)).stats).toMatchObject({ waiting: 0 })
    const struck = performance.now()
    for (const pid of pids) process.kill(pid, 'SIGCONT')
    for (const { status } of await Promise.all(waiting)) expect(status).toBe(200)
    record({ calls: 24, settled: { answered: 24 }, recoveredMs: performance.now() - struck })
  },
)

fault(
  'H6',
  'a worker is blocked: the POSTs that it has not begun are taken back and answered by another, and it never runs them',
  async (record) => {
    const { child, port, begun, note } = await startFront({
      liveness: { interval: 50, suspectAfter: 100, stuckAfter: 60_000 },
    })
    const blocked = ask(port, 'GET', '/block')
    await until('the block', () => begun().includes('blocked'))
    const struck = performance.now()
    const names = Array.from({ length: 40 }, (_, order) => `order ${order}`)
    const orders = await Promise.all(
      names.map((id) => ask(port, 'POST', '/orders', { id, ms: 200 })),
    )
    const recoveredMs = performance.now() - struck
    expect(orders.map(({ status }) => status)).toEqual(names.map(() => 201))
    expect(new Set(orders.map(({ body }) => JSON.parse(body).pid)).size).toBe(1)
    const { stats } = await stateOf(child)
    expect(stats).toMatchObject({ active: 1, retried: 0, refused: 0 })
    expect(stats.recalled).toBeGreaterThan(0)
    note('go on')
    const { pid } = JSON.parse((await blocked).body)
    await until('how busy it was', async () => {
      const { workers } = (await stateOf(child)).stats
      return (workers as { utilization?: number }[]).every(
        ({ utilization }) => utilization !== undefined && utilization <= 1,
      )
    })
    // By then it has read all that was sent to it before.
    await until('an order that it takes', async () => {
      const { body } = await ask(port, 'POST', '/orders', { id: 'late' })
      return JSON.parse(body).pid === pid
    })
    const ran = begun().filter((line) => line.startsWith('order'))
    expect(ran.sort()).toEqual(names.sort())
    record({ calls: 41, settled: { answered: 41 }, recoveredMs })
  },
)

fault(
  'H6',
  'a worker is blocked and gets requests while no other answers either: they are taken back as soon as another does',
  async (record) => {
    const { child, port, begun, note } = await startFront({
      liveness: { interval: 50, suspectAfter: 100, stuckAfter: 60_000 },
    })
    const isSuspect = async (which: (pid: number) => boolean) =>
      (await stateOf(child)).workers.some(({ pid, state }) => which(pid) && state === 'suspect')
    const blocked = ask(port, 'GET', '/block')
    const isBlocked = (pid: number) => begun().includes(`${pid} is blocked`)
    await until('the block', () => isSuspect(isBlocked))
    const other = (await stateOf(child)).workers.find(({ pid }) => !isBlocked(pid))
    process.kill(other?.pid as number, 'SIGSTOP')
    await until('two suspects', () => isSuspect((pid) => !isBlocked(pid)))
    const names = ['order 1', 'order 2', 'order 3', 'order 4']
    const orders = names.map((id) => ask(port, 'POST', '/orders', { id }))
    await until('the orders', async () => (await stateOf(child)).stats.active === 1 + names.length)
    const struck = performance.now()
    process.kill(other?.pid as number, 'SIGCONT')
    const answers = await Promise.all(orders)
    const recoveredMs = performance.now() - struck
    expect(answers.map(({ body }) => JSON.parse(body).pid)).toEqual(names.map(() => other?.pid))
    note('go on')
    expect((await blocked).status).toBe(200)
    const ran = begun().filter((line) => line.startsWith('order'))
    expect(ran.sort()).toEqual(names)
    record({ calls: 5, settled: { answered: 5 }, recoveredMs })
  },
)

fault(
  'H6',
  'a worker is blocked when it is replaced: what it has not begun does not wait for it',
  async (record) => {
    const { child, port, begun, note } = await startFront({
      liveness: { interval: 1_000, suspectAfter: 50_000, stuckAfter: 60_000 },
    })
    const blocked = ask(port, 'GET', '/block')
    await until('the block', () => begun().includes('blocked'))
    const names = Array.from({ length: 20 }, (_, order) => `order ${order}`)
    const orders = names.map((id) => ask(port, 'POST', '/orders', { id, ms: 100 }))
    await until('the orders', async () => (await stateOf(child)).stats.active === 1 + names.length)
    const struck = performance.now()
    child.send('reload')
    const answers = await Promise.all(orders)
    const recoveredMs = performance.now() - struck
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 201))
    note('go on')
    expect((await blocked).status).toBe(200)
    expect(
      begun()
        .filter((line) => line.startsWith('order'))
        .sort(),
    ).toEqual(names.sort())
    record({ calls: 21, settled: { answered: 21 }, recoveredMs })
  },
)

fault(
  'H6',
  'a worker is stopped and goes on, again and again, while orders come in: each is answered, and none runs twice',
  async (record) => {
    const { child, port, begun } = await startFront({
      liveness: { interval: 20, suspectAfter: 40, stuckAfter: 60_000 },
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    onTestFinished(() => agent.destroy())
    const pid = (await stateOf(child)).workers[0]?.pid as number
    onTestFinished(() => void tryTo(() => process.kill(pid, 'SIGCONT')))
    const isSuspect = async () =>
      (await stateOf(child)).workers.some(({ state }) => state === 'suspect')
    const answers: Promise<number>[] = []
    const struck = performance.now()
    for (let cycle = 0; cycle < 8; cycle++) {
      process.kill(pid, 'SIGSTOP')
      for (let order = 0; order < 16; order++)
        answers.push(send(agent, port, `order ${cycle}.${order}`))
      await until('its being suspect', isSuspect)
      process.kill(pid, 'SIGCONT')
      await until('its recovery', async () => !(await isSuspect()))
    }
    const statuses = await Promise.all(answers)
    expect(statuses).toEqual(statuses.map(() => 201))
    expect(new Set(begun()).size, 'no order runs twice').toBe(begun().length)
    expect(begun()).toHaveLength(statuses.length)
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, refused: 0 })
    const recoveredMs = performance.now() - struck
    record({ calls: statuses.length, settled: { answered: statuses.length }, recoveredMs })
  },
)

fault(
  'H6',
  'a worker is blocked and killed: what it had not begun was answered long before, what it had is answered then',
  async (record) => {
    const { child, port, begun } = await startFront({
      liveness: { interval: 50, suspectAfter: 100, stuckAfter: 60_000 },
    })
    const blocked = ask(port, 'GET', '/block')
    await until('the block', () => begun().includes('blocked'))
    const { workers } = await stateOf(child)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, order) =>
        ask(port, 'POST', '/orders', { id: order, ms: 100 }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
    const [{ pid }] = answers.map(({ body }) => JSON.parse(body))
    const victim = workers.find((one) => one.pid !== pid)?.pid as number
    const struck = performance.now()
    process.kill(victim, 'SIGKILL')
    await until('its second beginning', () => begun().filter((one) => one === 'blocked').length > 1)
    expect((await stateOf(child)).stats).toMatchObject({ retried: 1, refused: 0 })
    child.kill('SIGKILL')
    await expect(blocked).rejects.toThrow()
    record({
      calls: 21,
      settled: { answered: 20, cut: 1 },
      recoveredMs: performance.now() - struck,
    })
  },
)

fault(
  'H6',
  'no worker is there: 503 with Retry-After as soon as the queue’s time is over, and service again when one is',
  async (record) => {
    const { child, port } = await startFront({ workers: 1 }, { queue: { timeout: 0 } })
    const [worker] = (await stateOf(child)).workers
    const struck = performance.now()
    process.kill(worker?.pid as number, 'SIGKILL')
    let refused = 0
    await until('an answer of a new worker', async () => {
      const { status, headers, body } = await ask(port, 'GET', '/whoami')
      if (status === 200) return JSON.parse(body).pid !== worker?.pid
      expect(status).toBe(503)
      expect(headers['retry-after']).toBe('1')
      refused++
      return false
    })
    expect((await stateOf(child)).stats).toMatchObject({ active: 0, waiting: 0, refused })
    expect(refused).toBeGreaterThan(0)
    record({
      calls: refused + 1,
      settled: { answered: 1, NO_WORKER: refused },
      recoveredMs: performance.now() - struck,
    })
  },
)

fault(
  'H8',
  'Ctrl-C under keep-alive connections: what runs is finished and says Connection: close, idle ones are closed',
  async (record) => {
    const { child, port, begun, note } = await startFront()
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    const exited = once(child, 'exit')
    await send(agent, port)
    const idle = connect(port, '127.0.0.1')
    onTestFinished(() => void idle.destroy())
    idle.write('GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(idle, 'data')
    const idleClosed = once(idle.resume(), 'close')
    const late = ask(port, 'POST', '/wait')
    await until('its beginning', () => begun().includes('waits'))
    const orders = Array.from({ length: 20 }, (_, order) => send(agent, port, String(order)))
    await Promise.race(orders)
    child.kill('SIGINT')
    const statuses = await Promise.all(orders)
    // Those that had not reached the front when it stopped listening find nobody there.
    expect(statuses.filter((status) => status === 201)).toHaveLength(begun().length - 1)
    expect(statuses.filter((status) => status !== 201 && status !== 0)).toEqual([])
    await idleClosed
    note('go on')
    const { status, headers } = await late
    expect([status, headers.connection]).toEqual([201, 'close'])
    expect(await exited).toEqual([0, null])
    const answered = statuses.filter((one) => one === 201).length
    record({ calls: 21, settled: { answered: answered + 1, ECONNREFUSED: 20 - answered } })
  },
)
