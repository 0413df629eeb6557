// Rows C10, C15, C22, C23 and C24 of the fault matrix: what happens on a channel whose ends come and go.

import { expect } from 'vitest'
import { fault } from '../support/fault.js'
import { play } from '../support/scene.js'

type Settled = Record<string, number>

fault('C10', 'a rolling replacement by another version of the contract', async (record) => {
  const { seen } = await play<{
    before: Record<'old' | 'new', Settled>
    both: readonly string[][]
    after: string[]
    refused: { code: string; message: string }
    calls: number
    settled: Settled
    recoveredMs: number
  }>('versions')
  // An old worker can do without what is new, but not without what it knows by another name.
  expect(seen.before).toEqual({ old: { answered: 1 }, new: { INCOMPATIBLE: 1 } })
  // While both are there, each caller gets its own.
  expect(seen.both).toEqual([['old'], ['new'], ['old'], ['new']])
  expect(seen.after).toEqual(['new'])
  expect(seen.refused.code).toBe('INCOMPATIBLE')
  expect(seen.refused.message).toMatch(/people\.move: .*version.* here, .* there.*destination/)
  expect(seen.settled).toEqual({ answered: seen.calls })
  expect(seen.calls).toBeGreaterThan(10)
  record({
    calls: seen.calls,
    settled: seen.settled,
    recoveredMs: seen.recoveredMs,
    note: 'what was renamed is INCOMPATIBLE in both directions',
  })
})

fault('C15', 'a worker is killed, and the primary goes on writing to it', async (record) => {
  const { seen } = await play<{ calls: number; settled: Settled; recoveredMs: number }>('killed')
  const { WORKER_LOST = 0, NO_WORKER = 0, ...others } = seen.settled
  expect(others).toEqual({})
  expect(WORKER_LOST).toBeGreaterThanOrEqual(100)
  expect(NO_WORKER).toBeGreaterThanOrEqual(10)
  expect(WORKER_LOST + NO_WORKER).toBe(seen.calls)
  record(seen)
})

fault('C22', 'calls before the worker can listen', async (record) => {
  const count = 20
  const { seen } = await play<{ settled: Settled; noted: number[] }>('earlyCalls', { count })
  expect(seen.settled).toEqual({ answered: count })
  expect(seen.noted).toEqual(Array.from({ length: count + 1 }, (_, n) => n))
  record({ calls: count, settled: seen.settled, note: 'each once, in order' })
})

fault('C23', 'a worker is let go while its answers can not leave it', async (record) => {
  const [streams, answers, size] = [8, 4, 250_000]
  const { seen, exits } = await play<{
    calls: number
    settled: Settled
    bytes: number
    recoveredMs: number
  }>('unsent', { streams, answers, size })
  expect(seen.settled).toEqual({ answered: streams + answers + 1 })
  expect(seen.bytes).toBe((streams + answers) * size)
  expect(exits[0]).toMatchObject({ number: 1, kind: 'told', code: 0 })
  record({
    calls: seen.calls,
    settled: seen.settled,
    recoveredMs: seen.recoveredMs,
    note: `${seen.bytes} of ${(streams + answers) * size} bytes`,
  })
})

interface Output {
  readonly calls: number
  readonly settled: Settled
  readonly same: boolean
}

fault('C24', 'nobody reads what a worker prints any more', async (record) => {
  const { seen, exits } = await play<Output>('output', { lines: 100 }, ({ stdout, stderr }) => {
    stdout?.destroy()
    stderr?.destroy()
  })
  expect(seen.same).toBe(true)
  expect(seen.settled).toEqual({ answered: seen.calls })
  expect(exits.map(({ kind }) => kind)).toEqual(['told', 'told'])
  record({ calls: seen.calls, settled: seen.settled, note: 'stdout and stderr are closed' })
})

fault('C24', 'workers print 20 MB', async (record) => {
  let printed = 0
  const lines = 5_000
  const { seen, stderr } = await play<Output>('output', { lines }, ({ stdout }) =>
    stdout?.on('data', ({ length }) => {
      printed += length
    }),
  )
  expect(seen.same).toBe(true)
  expect(seen.settled).toEqual({ answered: seen.calls })
  expect([printed, stderr.length]).toEqual([2 * lines * 1_000, 2 * lines * 1_000])
  record({ calls: seen.calls, settled: seen.settled, note: 'all of it arrives' })
})
