// Direct mode: workers that listen by themselves, supervised as all workers are.
import { expect, it } from 'vitest'
import { TestCluster, until, type WorkerRow } from './support/cluster.js'
import { ask, Load } from './support/http.js'

async function start() {
  const cluster = new TestCluster({}, [], 'direct-primary.js')
  await cluster.event('started')
  const match = await until('the port', () => /direct at (\d+)/.exec(cluster.stdout))
  return { cluster, port: Number(match[1]) }
}

const pidsOf = (workers: readonly WorkerRow[]) => workers.map(({ pid }) => pid)

it('a reload under load: no connection is refused, and no request fails', async () => {
  const { cluster, port } = await start()
  const load = new Load(port, { clients: 8 })
  const before = pidsOf(await cluster.workers())
  await until('both workers', () => before.every((pid) => load.pids.has(pid)))
  await cluster.ask('reload')
  const after = pidsOf(await cluster.workers())
  for (const pid of after) cluster.pids.add(pid)
  await until('both new workers', () => after.every((pid) => load.pids.has(pid)))
  await load.stop()
  expect(load.gets.filter((status) => status !== 200)).toEqual([])
  expect(after.filter((pid) => before.includes(pid))).toEqual([])
})

it('a stop lets a request finish that runs', async () => {
  const { cluster, port } = await start()
  const slow = ask({ port, path: '/slow' })
  await until('the request', () => cluster.stdout.includes('begun'))
  cluster.child.kill('SIGTERM')
  expect((await slow).status).toBe(200)
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
})
