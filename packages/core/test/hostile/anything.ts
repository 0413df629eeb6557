// Whatever a member sends.

import fc from 'fast-check'
import { describe, test } from 'vitest'
import { CancelReason, EVERYONE, FrameType } from '../../src/frames.js'
import { lab } from '../fixtures/lab.js'
import { turn } from '../support.js'
import { ada, drained, type Transport, VILLAIN, Village, Villain } from './village.js'

export function describeAnything(transport: Transport, numRuns: number): void {
  describe('anything at all', () => {
    const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, maxDepth: 3 })
    const head = fc.record({
      type: fc.constantFrom(...Object.values(FrameType), 0, 5, 19, 255),
      flags: fc.integer({ min: 0, max: 63 }),
      ref: fc.integer({ min: 0, max: 14 }),
      to: fc.constantFrom(0, 1, 2, VILLAIN, 55, EVERYONE),
      id: fc.integer({ min: 0, max: 40 }),
      arg: fc.constantFrom(0, 1, 8, 28, CancelReason.deadline, 1e6, 0xffff_ffff),
    })
    const body = fc.oneof(
      value,
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(ada, { to: 3 }, [], [['x', 'y']], 'lab.news', { message: 'x' }),
    )

    test('whatever a member sends, the others go on', async () => {
      const village = await Village.found(transport)
      let number = 100
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(head, body), { maxLength: 20 }), async (frames) => {
          const villain = await Villain.join(village, ++number)
          const calls = village.everyone.map((peer) =>
            Promise.allSettled([
              peer.client(lab, { to: number }).hold(1),
              drained(peer.client(lab, { to: number }).count({ to: 3 })),
            ]),
          )
          await turn()
          for (const [one, content] of frames) {
            try {
              villain.send(one, content)
            } catch {
              // The value can't be encoded: not even a villain can send it.
            }
            if (villain.ended) break
          }
          await turn()
          villain.end()
          await Promise.all(calls)
          village.errors.length = 0
          await village.isWell()
        }),
        { numRuns },
      )
    }, 60_000)
  })
}
