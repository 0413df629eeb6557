// A rolling reload under load: no request fails, long ones finish, and no connection is closed.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { SteadyClient } from './support/attack.js'
import { fixture, until } from './support/cluster.js'

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number; readonly state: string }[]
  readonly stats: Readonly<Record<string, unknown>> & {
    readonly connections: { readonly open: number }
  }
}

async function startFront() {
  const env = { ...process.env, ORDERS: '/dev/null' }
  const child = fork(fixture('http-primary.js'), [JSON.stringify({ workers: 2 })], { env })
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  })
  const [{ port, workers }] = (await once(child, 'message')) as [State]
  const tell = async (what: 'tell' | 'reload') => {
    child.send(what)
    return ((await once(child, 'message')) as [State])[0]
  }
  return { port, workers, tell }
}

/** Begins a download that takes 3 s; its lines reject when it is cut. */
async function longDownload(port: number): Promise<{ lines: Promise<string> }> {
  const req = get({ host: '127.0.0.1', port, path: '/lines/30', agent: false })
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  res.setEncoding('utf8').on('data', (more) => {
    text += more
  })
  return { lines: once(res, 'end').then(() => text) }
}

test('two reloads under 50 keep-alive connections: no request fails, long downloads end with their last line, and all connections stay open', async () => {
  const { port, workers, tell } = await startFront()
  const clients = Array.from({ length: 50 }, () => new SteadyClient(port))
  onTestFinished(() => {
    for (const client of clients) client.close()
  })
  const wrong: object[] = []
  const pids = new Set<number>()
  let running = true
  let answers = 0
  // A client fails when its connection is closed, and when it gets anything else than one answer.
  const load = clients.map(async (client) => {
    for (let turn = 0; running; turn++) {
      const order = turn % 2 === 1
      const answer = order
        ? await client.ask('POST', '/orders', '{"id":"1","ms":20}')
        : await client.ask('GET', '/whoami')
      const { status, headers, body } = answer
      if (status !== (order ? 201 : 200) || headers.connection !== 'keep-alive') wrong.push(answer)
      else pids.add(JSON.parse(body).pid)
      answers++
      await pause(5)
    }
  })
  const generations = [workers.map(({ pid }) => pid)]
  for (let reload = 0; reload < 2; reload++) {
    const { lines } = await longDownload(port)
    const { workers: next } = await tell('reload')
    expect(generations.at(-1), 'it is an old worker’s').toContain(Number.parseInt(await lines))
    expect((await lines).split('\n')).toHaveLength(31)
    generations.push(next.map(({ pid }) => pid))
    await until('answers of every new worker', () => next.every(({ pid }) => pids.has(pid)))
  }
  running = false
  await Promise.all(load)

  expect(wrong).toEqual([])
  expect(new Set(generations.flat()).size, 'three generations of two').toBe(6)
  const { stats } = await tell('tell')
  expect(stats).toMatchObject({
    active: 0,
    refused: 0,
    cut: 0,
    abandoned: 0,
    requests: answers + 2,
  })
  expect(stats.connections.open).toBeGreaterThanOrEqual(clients.length)
})
