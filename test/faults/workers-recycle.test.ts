// Row W6 of the fault matrix: workers that are replaced before they do harm.

import { expect } from 'vitest'
import { fixture, until } from '../support/cluster.js'
import { type Deeds, moodFile, startDeeds } from '../support/deeds.js'
import { fault } from '../support/fault.js'

/** At no time more than one worker above the usual number. */
function expectOneAtATime(cluster: Deeds, workers: number): void {
  const live = cluster.all('worker.fork').map((event) => Number(event.live))
  expect(Math.max(...live)).toBeLessThanOrEqual(workers)
  const ready = cluster.all('worker.ready').map((event) => Number(event.live))
  expect(Math.max(...ready)).toBeLessThanOrEqual(workers + 1)
}

async function stopLoad(cluster: Deeds): Promise<Record<string, number>> {
  const ends = (await cluster.ask('stopLoad')) as Record<string, number>
  expect(Object.keys(ends)).toEqual(['answered'])
  return ends
}

fault('W6', 'memory grows', async (record) => {
  const [small, large] = [150, 300].map((mib) => mib * 2 ** 20) as [number, number]
  const cluster = await startDeeds({ recycle: { maxRss: large } })
  await cluster.ask('startLoad', 4)
  const struck = performance.now()
  for (let leaked = 0; leaked < 2 * small; leaked += small / 5)
    await cluster.ask('callOn', 1, 'leak', { bytes: small / 5 })
  const { details, number } = await cluster.event('worker.recycle')
  expect(number).toBe(1)
  expect(details).toMatchObject({ reason: expect.stringMatching(/^it has \d+ MiB of memory$/) })
  expect(await cluster.exitOf(1)).toMatchObject({ kind: 'told', code: 0, expected: true })
  const recoveredMs = performance.now() - struck
  const settled = await stopLoad(cluster)
  expect((await cluster.workers()).map(({ number }) => number)).toEqual([2, 3])
  expectOneAtATime(cluster, 2)
  await cluster.expectCalm()
  record({ calls: settled.answered as number, settled, recoveredMs })
})

for (const [limit, says] of [
  [{ maxRequests: 200 }, /^it has handled \d+ requests$/],
  [{ maxAge: 1_500 }, /^it is \d s old$/],
] as const)
  fault('W6', `enough is done (${Object.keys(limit)})`, async (record) => {
    const cluster = await startDeeds({ recycle: limit })
    const struck = performance.now()
    await cluster.ask('startLoad', 4)
    for (const number of [1, 2]) {
      const { details } = await cluster.event('worker.recycle', (one) => one.number === number)
      expect(details).toMatchObject({ reason: expect.stringMatching(says) })
      expect(await cluster.exitOf(number)).toMatchObject({ kind: 'told', expected: true })
    }
    const recoveredMs = performance.now() - struck
    const settled = await stopLoad(cluster)
    expectOneAtATime(cluster, 2)
    await cluster.expectCalm()
    record({ calls: settled.answered as number, settled, recoveredMs })
  })

fault('W6', 'nothing is done, and the limit counts requests', async (record) => {
  // Heartbeats are no requests.
  const cluster = await startDeeds({
    workers: 1,
    liveness: { interval: 10, suspectAfter: 1_000, stuckAfter: 5_000 },
    recycle: { maxRequests: 5 },
  })
  const age = async () => (await cluster.workers())[0] as unknown as { uptime: number }
  await until('many heartbeats', async () => (await age()).uptime > 1_500)
  expect(cluster.all('worker.recycle')).toEqual([])
  await cluster.expectCalm()
  record({ calls: 0, settled: {} })
})

fault('W6', 'the one that is to take its place does not boot', async (record) => {
  const { file, set } = await moodFile('well')
  const cluster = await startDeeds({
    exec: fixture('moody-worker.js'),
    env: { MOOD: file },
    recycle: { maxRequests: 20 },
    workers: 1,
  })
  await set('throws')
  const struck = performance.now()
  await cluster.ask('startLoad', 4)
  expect(await cluster.event('error')).toMatchObject({
    where: expect.stringMatching(/could not be replaced/),
  })
  const recoveredMs = performance.now() - struck
  const settled = await stopLoad(cluster)
  expect(await cluster.workers()).toMatchObject([{ number: 1, state: 'ready' }])
  await cluster.expectCalm()
  record({ calls: settled.answered as number, settled, recoveredMs, note: 'the old one goes on' })
})
