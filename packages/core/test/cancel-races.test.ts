// Row C19 of the fault matrix: callers that leave at every possible moment, in every order of what happens at the same time.

import { getEventListeners } from 'node:events'
import { contract, procedure, stream } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createLinkPair } from '../src/transports/memory.js'
import { createSocketLinks } from './socket-pair.js'
import { turn, until } from './support.js'

const races = contract('races', {
  /** Two at once: the others stand in the queue. */
  run: procedure({ input: z.int(), output: z.int(), concurrency: 2, timeout: 60_000 }),
  count: stream({ input: z.int(), output: z.int() }),
})

/** When a caller leaves. `any`: whenever the scheduler has it, so in the queue, while it runs, or when it is answered. */
const leaving = fc.constantFrom('never', 'before', 'any', 'after')
const callers = fc.array(
  fc.record({
    kind: fc.constantFrom('call', 'stream'),
    leaves: leaving,
    patience: fc.integer({ min: 1, max: 12 }),
  }),
  {
    minLength: 1,
    maxLength: 8,
  },
)

for (const [transport, createLinks, numRuns] of [
  ['memory', createLinkPair, 300],
  ['sockets', createSocketLinks, 60],
] as const)
  test(`C19: over ${transport}, a call and a stream settle once and let go of their signal, whenever they are cancelled`, async () => {
    const seen = new Set<string>()
    const property = fc.asyncProperty(callers, fc.scheduler(), async (all, scheduler) => {
      const mesh = await createMemoryMesh({ workers: 1, createLinks: () => createLinks() })
      const [worker] = mesh.workers
      /** What the scheduler lets go on when it likes. */
      let waiting = 0
      const sometime = (what: string) => {
        waiting++
        return scheduler.schedule(Promise.resolve(), what).finally(() => waiting--)
      }
      worker?.serve(races, {
        async run(n) {
          await sometime('run')
          return n
        },
        async *count(n) {
          for (let i = 0; i < n; i++) {
            await sometime('yield')
            yield i
          }
        },
      })
      await worker?.ready()
      const client = mesh.primary.client(races)
      const read = async (signal: AbortSignal) => {
        let last = 0
        for await (const value of client.count(3, { signal })) {
          last = value
          await sometime('read')
        }
        return last
      }
      const controllers: AbortController[] = []
      const settled: string[] = []
      const made = all.map(async ({ kind, leaves, patience }) => {
        const leaver = new AbortController()
        controllers.push(leaver)
        if (leaves === 'before') leaver.abort()
        if (leaves === 'any') steps(sometime, patience).then(() => leaver.abort())
        const { signal } = leaver
        try {
          const value = await (kind === 'call' ? client.run(2, { signal }) : read(signal))
          expect(value).toBe(2)
          settled.push(`${kind} ${leaves}: answered`)
        } catch (error) {
          settled.push(`${kind} ${leaves}: ${(error as { code?: string }).code ?? String(error)}`)
        }
        if (leaves === 'after') leaver.abort()
      })
      // Sockets need turns of their own between what the scheduler lets happen.
      let open = true
      const over = Promise.all(made).finally(() => {
        open = false
      })
      await until(async () => {
        await turn()
        if (waiting > 0) await scheduler.waitNext(1)
        return !open && waiting === 0
      }, 'all have settled')
      await over
      await until(() => mesh.primary.pending + (worker?.peer.serving ?? 0) === 0, 'nothing is left')
      // One settlement each, and as it must be where that is certain.
      expect(settled).toHaveLength(all.length)
      for (const one of settled) {
        seen.add(one)
        if (/ (never|after):/.test(one)) expect(one).toMatch(/: answered$/)
        else if (/ before:/.test(one)) expect(one).toMatch(/: CANCELLED$/)
        else expect(one).toMatch(/: (answered|CANCELLED)$/)
      }
      const { calls } = mesh.primary.peer.stats.summary()
      for (const kind of ['call', 'stream']) {
        const name = kind === 'call' ? 'races.run' : 'races.count'
        const sent = all.filter((one) => one.kind === kind && one.leaves !== 'before').length
        const counted = calls[name]?.count ?? 0
        expect(counted).toBeGreaterThanOrEqual(sent)
        expect(counted).toBeLessThanOrEqual(all.filter((one) => one.kind === kind).length)
      }
      for (const { signal } of controllers) expect(getEventListeners(signal, 'abort')).toEqual([])
      expect(mesh.errors).toEqual([])
      await mesh.close()
    })
    await fc.assert(property, { numRuns, seed: 19 })
    // The races were races: both came out.
    for (const kind of ['call', 'stream'])
      for (const outcome of ['answered', 'CANCELLED'])
        expect(seen).toContain(`${kind} any: ${outcome}`)
  }, 60_000)

/** Resolves after so many steps of the scheduler's. */
async function steps(step: (what: string) => Promise<unknown>, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await step('leave')
}
