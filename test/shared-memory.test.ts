// Large byte streams over the memory that the primary shares with each worker: all arrives, and nothing of it is left when a process dies.

import { expect, it } from 'vitest'
import { TestCluster, until, type WorkerRow } from './support/cluster.js'

const MiB = 1024 * 1024

/** A cluster of two workers. `sharing`: how many files of shared memory the primary has open. */
async function start(options: Record<string, unknown> = {}, wrapper: readonly string[] = []) {
  const cluster = new TestCluster(options, wrapper, 'bytes-primary.js')
  await cluster.event('started')
  const sharing = process.platform === 'linux' ? await openFiles(cluster) : 0
  return { cluster, sharing }
}

async function openFiles(cluster: TestCluster): Promise<number> {
  return ((await cluster.ask('sharedFiles')) as string[]).length
}

async function twoReady(cluster: TestCluster): Promise<readonly [WorkerRow, WorkerRow]> {
  return until('two workers that are ready', async () => {
    const [first, second, ...others] = await cluster.workers()
    const isReady = (one?: WorkerRow): one is WorkerRow => one?.state === 'ready'
    return isReady(first) && isReady(second) && others.length === 0
      ? ([first, second] as const)
      : undefined
  })
}

/** One worker has the other mirror so much, all through the primary: what comes back is what was sent. */
async function mirrors(cluster: TestCluster, size = 20 * MiB): Promise<void> {
  const [first, second] = await twoReady(cluster)
  const echoes = await Promise.all(
    [first, second].map(({ number }) => {
      const to = number === first.number ? second.number : first.number
      return cluster.ask('callOn', number, 'relay', { to, size })
    }),
  )
  for (const echo of echoes) {
    const { sent, got, size: count } = echo as { sent: string; got: string; size: number }
    expect(count).toBe(size)
    expect(got).toBe(sent)
  }
}

it('bytes go from worker to worker and back, both ways at once', async () => {
  const { cluster } = await start()
  await mirrors(cluster)
})

it.skipIf(process.platform !== 'linux')(
  'workers that are killed while they send leave no file behind, and nothing is left after the end',
  async () => {
    const { cluster, sharing } = await start()
    expect([0, 2]).toContain(sharing)
    for (let round = 0; round < 3; round++) {
      const [victim, reader] = await twoReady(cluster)
      // Another worker reads from it, too.
      const drunk = cluster.ask('callOn', reader.number, 'drink', victim.number)
      const poured = cluster.ask('pourAndKill', victim.number, 8 * MiB)
      expect(await Promise.all([poured, drunk])).toEqual(['WORKER_LOST', 'WORKER_LOST'])
      const [, heir] = await twoReady(cluster)
      expect(heir.number).toBeGreaterThan(reader.number)
      await until('only files of the living', async () => (await openFiles(cluster)) === sharing)
    }
    await mirrors(cluster, 5 * MiB)
    await cluster.ask('close')
    expect(await openFiles(cluster)).toBe(0)
    expect(cluster.events.filter(({ event }) => event === 'error')).toEqual([])
  },
)

it.skipIf(process.platform !== 'linux')('a worker’s own children don’t have the file', async () => {
  const { cluster } = await start()
  const [{ number }] = await twoReady(cluster)
  expect(await cluster.ask('callOn', number, 'filesOfChild')).toEqual([])
})

it.skipIf(process.platform !== 'linux')(
  'workers that have lost the file do without it',
  async () => {
    const { cluster } = await start({ env: { LOSE_MEMORY: '1' } })
    await mirrors(cluster)
  },
)

it('processes that may not write so large a file do without it, and say so', async () => {
  const { cluster, sharing } = await start({}, ['bash', '-c', 'ulimit -f 64; exec "$@"', 'bash'])
  await mirrors(cluster)
  if (sharing > 0)
    await until('a warning', () => cluster.stderr.includes('CLUSTERWIRE_SHARED_MEMORY_FULL'))
})
