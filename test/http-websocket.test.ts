// WebSockets through the front, with real workers: they are reloaded, killed and stopped while connections are open.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { httpFront, serveHttp } from '@clusterwire/http-adapter'
import fastify from 'fastify'
import { expect, it, onTestFinished } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number; readonly state: string }[]
  readonly stats: Readonly<Record<string, unknown>>
}

async function startFront(): Promise<{ child: ChildProcess; port: number }> {
  const script = fileURLToPath(new URL('./fixtures/http-primary.js', import.meta.url))
  const child = fork(script, [JSON.stringify({ workers: 2 })])
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  })
  const [{ port }] = (await once(child, 'message')) as [State]
  return { child, port }
}

async function ask(child: ChildProcess, what: 'tell' | 'reload'): Promise<State> {
  child.send(what)
  return ((await once(child, 'message')) as [State])[0]
}

interface Connection {
  readonly socket: WebSocket
  /** Of the worker that has it. */
  readonly pid: number
  readonly closed: Promise<number>
}

async function connect(port: number): Promise<Connection> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  socket.on('error', () => {})
  onTestFinished(() => socket.terminate())
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  const [pid] = await once(socket, 'message')
  return { socket, pid: Number(pid), closed }
}

const connectMany = (port: number) => Promise.all(Array.from({ length: 20 }, () => connect(port)))

it('an app whose framework has made the server: Fastify', async () => {
  const mesh = await createMemoryMesh({ workers: 2 })
  const app = fastify()
  app.get('/', (_request, reply) => reply.send('ordinary'))
  const sockets = new WebSocketServer({ server: app.server })
  sockets.on('connection', (socket, { url }) => socket.send(`welcome to ${url}`))
  await app.ready()
  for (const worker of mesh.workers) {
    serveHttp(worker, app.server)
    await worker.ready()
  }
  const front = httpFront(mesh.primary, { grace: 1 })
  const { port } = await front.listen(0, '127.0.0.1')
  onTestFinished(async () => {
    await front.close()
    await mesh.close()
    await app.close()
  })
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('ordinary')
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
  expect(String((await once(socket, 'message'))[0])).toBe('welcome to /chat')
  socket.close()
  await once(socket, 'close')
})

it('H7: a reload with open WebSockets: each gets 1001, the reload ends, and those who come back find the new workers', async () => {
  const { child, port } = await startFront()
  const before = await connectMany(port)
  const back = before.map(async ({ closed }) => [await closed, (await connect(port)).pid] as const)
  const reloaded = await ask(child, 'reload')
  const codes = (await Promise.all(back)).map(([code]) => code)
  expect(codes).toEqual(before.map(() => 1001))
  const pids = reloaded.workers.map(({ pid }) => pid)
  const old = new Set(before.map(({ pid }) => pid))
  expect(old.size).toBe(2)
  for (const pid of pids) expect(old).not.toContain(pid)
  const { socket, pid } = await connect(port)
  expect(pids).toContain(pid)
  socket.send('grüße')
  expect(String((await once(socket, 'message'))[0])).toBe('grüße')
  expect((await ask(child, 'tell')).stats).toMatchObject({ cut: 0, abandoned: 0, refused: 0 })
})

it('a worker that is killed: its WebSockets are cut at once, and the others go on', async () => {
  const { child, port } = await startFront()
  const all = await connectMany(port)
  const victim = all[0]?.pid as number
  process.kill(victim, 'SIGKILL')
  const theirs = all.filter(({ pid }) => pid === victim)
  expect(await Promise.all(theirs.map(({ closed }) => closed))).toEqual(theirs.map(() => 1006))
  const others = all.filter(({ pid }) => pid !== victim)
  expect(others).not.toHaveLength(0)
  for (const { socket } of others) {
    socket.send('still here')
    expect(String((await once(socket, 'message'))[0])).toBe('still here')
  }
  expect((await ask(child, 'tell')).stats).toMatchObject({
    upgraded: others.length,
    cut: theirs.length,
  })
})

it('Ctrl-C with open WebSockets: each gets 1001, and the process ends with 0', async () => {
  const { child, port } = await startFront()
  const all = await connectMany(port)
  const exited = once(child, 'exit')
  child.kill('SIGINT')
  expect(await Promise.all(all.map(({ closed }) => closed))).toEqual(all.map(() => 1001))
  expect(await exited).toEqual([0, null])
})
