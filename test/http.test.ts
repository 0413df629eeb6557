// The front with real workers: they are killed while it is busy.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number; readonly state: string }[]
  readonly stats: Readonly<Record<string, unknown>>
}

/** A primary with a front in a process of its own. */
async function startFront() {
  const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
  const orders = path.join(folder, 'orders')
  writeFileSync(orders, '')
  const script = fileURLToPath(new URL('./fixtures/http-primary.js', import.meta.url))
  const env = { ...process.env, ORDERS: orders }
  const child = fork(script, [JSON.stringify({ workers: 2 })], { env })
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
    rmSync(folder, { recursive: true })
  })
  const [{ port }] = (await once(child, 'message')) as [State]
  return { child, port, begun: () => readFileSync(orders, 'utf8').trimEnd().split('\n') }
}

async function stateOf(child: ChildProcess): Promise<State> {
  child.send('tell')
  return ((await once(child, 'message')) as [State])[0]
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

it('workers are killed under load: only what a dead one had begun fails, and nothing runs twice', async () => {
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
})

it('a client that goes away while its request runs: the worker hears of it', async () => {
  const { child, port, begun } = await startFront()
  const req = request({ port, host: '127.0.0.1', path: '/never', agent: false })
  req.on('error', () => {})
  req.end()
  await expect.poll(begun, { timeout: 10_000 }).toEqual(['entered'])
  req.destroy()
  await expect.poll(begun, { timeout: 10_000 }).toEqual(['entered', 'closed, not answered'])
  expect((await stateOf(child)).stats).toMatchObject({ active: 0, abandoned: 1 })
})

it('Ctrl-C: what runs is finished, and the process ends with 0', async () => {
  const { child, port, begun } = await startFront()
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const exited = once(child, 'exit')
  await send(agent, port)
  const orders = Array.from({ length: 20 }, (_, order) => send(agent, port, String(order)))
  await Promise.race(orders)
  child.kill('SIGINT')
  const statuses = await Promise.all(orders)
  // Those that had not reached the front when it stopped listening find nobody there.
  expect(statuses.filter((status) => status === 201)).toHaveLength(begun().length)
  expect(statuses.filter((status) => status !== 201 && status !== 0)).toEqual([])
  expect(await exited).toEqual([0, null])
})
