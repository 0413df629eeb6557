// Rows W4, W8, W9, W10 of the fault matrix: what a worker's own code does to it.

import { expect } from 'vitest'
import { fixture, until } from '../support/cluster.js'
import { startDeeds } from '../support/deeds.js'
import { fault, tally } from '../support/fault.js'

fault('W4', 'its heap is full', async (record) => {
  const cluster = await startDeeds({ execArgv: ['--max-old-space-size=24'], liveness: {} })
  const struck = performance.now()
  const results = await Promise.allSettled([cluster.ask('callOn', 1, 'harm', 'heap')])
  expect(tally(results)).toEqual({ WORKER_LOST: 1 })
  const exit = await cluster.exitOf(1)
  expect(exit).toMatchObject({ kind: 'oom-heap', signal: 'SIGABRT', code: null, expected: false })
  expect(exit.reason).toMatch(/usually its heap was full/)
  expect(cluster.stderr).toMatch(/heap out of memory/)
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 1, settled: tally(results), recoveredMs, note: String(exit.reason) })
})

fault('W8', 'nothing of its own keeps it alive', async (record) => {
  // Nor does the primary, which asks for nothing meanwhile.
  const liveness = { interval: 60_000, suspectAfter: 60_000, stuckAfter: 60_000 }
  const cluster = await startDeeds({ exec: fixture('idle-worker.js'), workers: 1, liveness })
  const old = async () =>
    (await cluster.ask('workers')) as { number: number; uptime: number; state: string }[]
  await until('2 s', async () => (await old()).some(({ uptime }) => uptime > 2_000))
  expect(await old()).toMatchObject([{ number: 1, state: 'ready' }])
  expect(cluster.all('worker.exit')).toEqual([])
  await cluster.expectCalm()
  record({ calls: 0, settled: {}, note: 'it is there after 2 s' })
})

for (const [harm, says] of [
  ['throw', /RangeError: thrown on purpose/],
  ['reject', /TypeError: rejected on purpose/],
] as const)
  fault('W9', `an error that nothing catches (${harm})`, async (record) => {
    const cluster = await startDeeds()
    const struck = performance.now()
    const settling = Promise.allSettled([
      cluster.ask('callOn', 1, 'never', { deaf: true }),
      cluster.ask('callOn', 1, 'rest', { ms: 5 }),
      cluster.ask('callOn', 1, 'harm', harm),
      cluster.ask('callOn', 2, 'rest', { ms: 200 }),
    ])
    const results = await settling
    // What is nearly done gets done.
    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ])
    expect(tally(results)).toEqual({ answered: 3, WORKER_LOST: 1 })
    const exit = await cluster.exitOf(1)
    expect(exit).toMatchObject({ kind: 'crashed', code: 70, signal: null, expected: false })
    expect(exit.reason).toMatch(says)
    expect(cluster.stderr).toMatch(says)
    await cluster.isReady(3)
    const recoveredMs = performance.now() - struck
    await cluster.expectCalm()
    record({ calls: 4, settled: tally(results), recoveredMs, note: String(exit.reason) })
  })

fault('W9', 'an error that nothing catches, and all that runs is done in time', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  const results = await Promise.allSettled([
    cluster.ask('callOn', 1, 'rest', { ms: 20 }),
    cluster.ask('callOn', 1, 'harm', 'throw'),
  ])
  expect(tally(results)).toEqual({ answered: 2 })
  expect(await cluster.exitOf(1)).toMatchObject({ kind: 'crashed', code: 70 })
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 2, settled: tally(results), recoveredMs })
})

fault('W9', 'an error that nothing catches, and an end that never comes', async (record) => {
  const cluster = await startDeeds()
  const struck = performance.now()
  const settling = Promise.allSettled([
    cluster.ask('callOn', 1, 'never', { deaf: true }),
    cluster.ask('callOn', 1, 'harm', 'throwAndHang'),
  ])
  const exit = await cluster.exitOf(1)
  expect(exit).toMatchObject({ kind: 'crashed', signal: 'SIGKILL', expected: false })
  expect(exit.reason).toMatch(/thrown on purpose/)
  const results = await settling
  expect(tally(results)).toEqual({ answered: 1, WORKER_LOST: 1 })
  await cluster.isReady(3)
  const recoveredMs = performance.now() - struck
  await cluster.expectCalm()
  record({ calls: 2, settled: tally(results), recoveredMs, note: 'killed after 2 s' })
})

fault('W10', 'handlers throw what can not be told', async (record) => {
  const cluster = await startDeeds({ workers: 1 })
  const struck = performance.now()
  const errorOf = (what: string) => cluster.ask('errorOf', 'fail', what) as Promise<object>
  const text = await errorOf('text')
  expect(text).toMatchObject({
    code: 'HANDLER_ERROR',
    message: expect.stringContaining('out of paper'),
  })
  expect(await errorOf('getter')).toMatchObject({
    code: 'HANDLER_ERROR',
    cause: { name: 'Error', message: 'unreadable' },
  })
  expect(await errorOf('proxy')).toMatchObject({ code: 'HANDLER_ERROR' })
  expect(await cluster.ask('call', 'rest', { ms: 0 })).toBe(1)
  const recoveredMs = performance.now() - struck
  expect(cluster.all('worker.exit')).toEqual([])
  await cluster.expectCalm()
  record({ calls: 4, settled: { HANDLER_ERROR: 3, answered: 1 }, recoveredMs })
})
