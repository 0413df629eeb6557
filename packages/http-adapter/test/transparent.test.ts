// The ports of a transparent front: who listens, and when a port is given up.
import { createServer } from 'node:net'
import { createMemoryMesh, type MemoryMesh, TestClock } from '@clusterwire/core/testing'
import { expect, it, onTestFinished } from 'vitest'
import { serveHttp, type UpgradeListener } from '../src/index.js'
import { type Endpoint, listening } from '../src/transparent/contract.js'
import { type TransparentOptions, transparentFront } from '../src/transparent/transparent-front.js'
import { talk } from './support/raw.js'

const anyPort: Endpoint = { address: '127.0.0.1', port: 0, index: 0 }

async function start(options: TransparentOptions = {}) {
  const clock = new TestClock()
  const mesh = await createMemoryMesh({ workers: 2, clock })
  const told: string[] = []
  const front = transparentFront(mesh.primary, {
    onListening: () => told.push('listening'),
    onReleased: () => told.push('released'),
    grace: 1,
    ...options,
  })
  for (const worker of mesh.workers) {
    const upgrade: UpgradeListener = (_req, socket) =>
      socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\nupgraded by ${worker.number}`)
    serveHttp(worker, (_req, res) => res.end(`worker ${worker.number}`), { upgrade })
    await worker.ready()
  }
  onTestFinished(async () => {
    await Promise.all(front.ports.map((port) => port.front.close()))
    await mesh.close()
  })
  return { mesh, clock, front, told }
}

const ofWorker = (mesh: MemoryMesh, index: number) => {
  const worker = mesh.workers[index]
  if (worker === undefined) throw new Error('there is no such worker')
  return worker.client(listening, { to: 'primary' })
}

async function portOf(mesh: MemoryMesh, index: number, endpoint = anyPort): Promise<number> {
  const { address, failure } = await ofWorker(mesh, index).bind(endpoint)
  if (failure !== undefined) throw new Error(failure.message)
  return address.port
}

const enter = (mesh: MemoryMesh, index: number, { upgrades = false, endpoint = anyPort } = {}) =>
  ofWorker(mesh, index).enter({ ...endpoint, upgrades })

const textOf = async (port: number) => (await fetch(`http://127.0.0.1:${port}`)).text()

it('port 0: the first servers of all workers share a port, and so do the second ones', async () => {
  const { mesh } = await start()
  const second = { ...anyPort, index: 1 }
  const ports = await Promise.all([portOf(mesh, 0), portOf(mesh, 1), portOf(mesh, 0, second)])
  expect(ports[0]).toBe(ports[1])
  expect(ports[0]).not.toBe(ports[2])
})

it('requests go only to workers that listen there, and wait while none does', async () => {
  const { mesh, front } = await start()
  const port = await portOf(mesh, 0)
  const early = textOf(port)
  await expect.poll(() => front.ports[0]?.front.stats().waiting).toBe(1)
  await enter(mesh, 1)
  expect(await early).toBe('worker 2')
  expect([await textOf(port), await textOf(port)]).toEqual(['worker 2', 'worker 2'])
  await enter(mesh, 0)
  expect([await textOf(port), await textOf(port)].sort()).toEqual(['worker 1', 'worker 2'])
  await ofWorker(mesh, 1).leave(anyPort)
  expect([await textOf(port), await textOf(port)]).toEqual(['worker 1', 'worker 1'])
})

it('upgrades go only to workers whose server on that port takes them; where none does, they are ordinary requests', async () => {
  const { mesh, front } = await start()
  const endpoint = { ...anyPort, index: 1 }
  const [first, second] = [await portOf(mesh, 0), await portOf(mesh, 0, endpoint)]
  const upgradeOf = (port: number) =>
    talk(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: Lines\r\n\r\n')
  for (const index of [0, 1]) await enter(mesh, index)
  await enter(mesh, 0, { endpoint })
  await enter(mesh, 1, { endpoint, upgrades: true })
  expect(await upgradeOf(first)).toMatch(/ 200 OK[\s\S]*worker \d$/)
  for (let n = 0; n < 3; n++) expect(await upgradeOf(second)).toMatch(/ 101 [\s\S]*upgraded by 2$/)
  await enter(mesh, 0, { upgrades: true })
  expect(await upgradeOf(first)).toMatch(/upgraded by 1$/)
  await enter(mesh, 0)
  expect(await upgradeOf(first)).toMatch(/worker \d$/)
  expect(front.ports[0]?.front.stats()).toMatchObject({ active: 0 })
})

it('a port’s statistics and health are about the workers that listen there', async () => {
  const { mesh, front } = await start()
  await portOf(mesh, 0)
  await enter(mesh, 1)
  expect(front.ports[0]?.front.stats().workers.map(({ number }) => number)).toEqual([2])
})

it('a port that the last worker has left stays open for a while', async () => {
  const { mesh, clock, front, told } = await start({ releaseAfter: 100 })
  const port = await portOf(mesh, 0)
  await enter(mesh, 0)
  await ofWorker(mesh, 0).leave(anyPort)
  await clock.advance(99)
  expect(front.ports).toHaveLength(1)
  await enter(mesh, 1)
  await clock.advance(1_000)
  expect(front.ports).toMatchObject([{ workers: [2], address: { port } }])
  await ofWorker(mesh, 1).leave(anyPort)
  await clock.advance(100)
  expect(front.ports).toEqual([])
  expect(told).toEqual(['listening', 'released'])
})

it('a port whose workers have died stays open until others are ready that do not listen there', async () => {
  const { mesh, clock, front } = await start({ releaseAfter: 100 })
  await portOf(mesh, 0)
  for (const index of [0, 1]) await enter(mesh, index)
  for (const worker of mesh.workers) worker.kill()
  await clock.advance(1_000)
  expect(front.ports).toMatchObject([{ workers: [] }])
  const next = await mesh.addWorker()
  await next.ready()
  await clock.advance(100)
  expect(front.ports).toEqual([])
})

it('a worker that dies before it listens leaves no port behind', async () => {
  const { mesh, clock, front } = await start({ releaseAfter: 100 })
  await portOf(mesh, 0)
  mesh.workers[0]?.kill()
  await clock.advance(100)
  expect(front.ports).toEqual([])
})

it("a port that can't be had: every worker is told Node's own error, and may try again", async () => {
  const { mesh, front } = await start()
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  const endpoint = { address: '127.0.0.1', port, index: 0 }
  const answers = await Promise.all([0, 1].map((index) => ofWorker(mesh, index).bind(endpoint)))
  const failure = { code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port }
  expect(answers).toMatchObject([{ failure }, { failure }])
  expect(front.ports).toEqual([])
  await new Promise((resolve) => other.close(resolve))
  expect(await portOf(mesh, 0, endpoint)).toBe(port)
})

it.each([{ port: -1 }, { port: 70_000 }, { port: '80' }, { index: 0.5 }, { address: 7 }])(
  'what is no endpoint is refused: %j',
  async (wrong) => {
    const { mesh } = await start()
    const bind = ofWorker(mesh, 0).bind({ ...anyPort, ...wrong } as Endpoint)
    await expect(bind).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  },
)
