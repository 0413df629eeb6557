// What breaks the rules towards another worker: the link of neither is to blame, so it is contained and counted.

import { describe, expect, test } from 'vitest'
import { Flag, FrameType } from '../../src/frames.js'
import { WINDOW_BYTES } from '../../src/streams.js'
import { lab } from '../fixtures/lab.js'
import { deferred, failureOf, until } from '../support.js'
import {
  ada,
  type Deed,
  drained,
  large,
  NONSENSE,
  type Transport,
  VILLAIN,
  Village,
  Villain,
} from './village.js'

/** What breaks the rules towards worker 1. Its own link, to the primary, has done nothing wrong. */
const toWorker: [string, Deed][] = [
  ['an answer to what was never asked', (v) => v.send({ type: 12, to: 1, id: 1e9 }, 1)],
  ['a call of what is not served', (v) => v.send({ type: 8, to: 1, id: 1, ref: 999 }, ada)],
  ['a call that is no value', (v) => v.send({ type: 8, to: 1, id: 1 }, NONSENSE)],
  [
    'a call with metadata that is none',
    (v) => v.send({ type: 8, to: 1, id: 1, flags: Flag.meta }, Buffer.from([0, 255, 255, 0, 0])),
  ],
  [
    'two calls with one id',
    (v) => {
      v.send({ type: 8, to: 1, id: 7 }, ada)
      v.send({ type: 8, to: 1, id: 7 }, ada)
    },
  ],
  [
    'an upload beyond its credit',
    (v) => {
      v.send({ type: 8, to: 1, id: 7, ref: uploads, flags: Flag.upload })
      for (let n = 0; n < 10; n++)
        v.send({ type: 10, to: 1, id: 7, flags: Flag.toCallee | Flag.bulk }, large)
    },
  ],
]
/** Where a worker's upload stands among its procedures: behind its own control contract, if it has one. */
const uploads = Object.keys(lab).indexOf('sum')

export function describeToWorker(transport: Transport): void {
  describe('to another worker', () => {
    test.each(toWorker)('%s is counted and dropped', async (_name, deed) => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      deed(villain)
      await until(() => village.victim.counters.violations > 0, 'the victim has noticed')
      await village.isWell()
      await villain.isStillServed()
      expect(village.primary.counters.violations).toBe(0)
      villain.end()
      await until(() => village.victim.peer.serving === 0, 'nothing of it is left')
    })

    test('a call that is no value is answered with PROTOCOL_ERROR', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      villain.send({ type: FrameType.open, to: 1, id: 5 }, NONSENSE)
      await until(
        () => villain.received.some(({ type, id }) => type === FrameType.error && id === 5),
        'it is told',
      )
      villain.end()
    })

    test.each([
      [
        'an error that is no value',
        (v: Villain, id: number) => v.send({ type: 13, to: 1, id }, NONSENSE),
      ],
      [
        'data that is no value',
        (v: Villain, id: number) => v.send({ type: 10, to: 1, id }, NONSENSE),
      ],
    ])('%s ends the stream that it belongs to, and nothing else', async (_name, deed) => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const count = village.victim.client(lab, { to: VILLAIN }).count({ to: 1 })
      const reading = failureOf(drained(count))
      deed(villain, await villain.asked(1))
      expect((await reading).code).toBe('PROTOCOL_ERROR')
      expect(village.victim.counters.violations).toBeGreaterThan(0)
      await village.isWell()
      villain.end()
    })

    test('data beyond its credit ends the stream that it belongs to, and nothing else', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const pieces = village.victim.client(lab, { to: VILLAIN }).pieces({ count: 1, size: 1 })
      const first = pieces.next()
      const id = await villain.asked(1)
      for (let sent = 0; sent < WINDOW_BYTES * 2; sent += large.length)
        villain.send({ type: FrameType.data, to: 1, id, flags: Flag.bulk }, large)
      await until(() => village.victim.counters.violations > 0, 'the victim has noticed')
      expect((await first).value).toEqual(large)
      expect((await failureOf(drained(pieces))).code).toBe('PROTOCOL_ERROR')
      await village.isWell()
      villain.end()
    })

    test('an answer that is no value ends the call that it belongs to, and nothing else', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const call = failureOf(village.victim.client(lab, { to: VILLAIN }).hold(1))
      villain.send({ type: FrameType.reply, to: 1, id: await villain.asked(1) }, NONSENSE)
      expect((await call).code).toBe('PROTOCOL_ERROR')
      await village.isWell()
      villain.end()
    })

    test('more credit than was spent ends the upload that it belongs to', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const sum = village.victim.client(lab, { to: VILLAIN }).sum(undefined, { upload: [1] })
      const call = failureOf(sum)
      const id = await villain.asked(1)
      await until(() => villain.received.some(({ type }) => type === FrameType.data), 'data came')
      villain.send({ type: FrameType.credit, to: 1, id, arg: 0xffff_ffff })
      expect((await call).code).toBe('PROTOCOL_ERROR')
      villain.end()
    })

    test('a worker’s own broadcast can not be settled by another worker', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const gate = deferred()
      const running = deferred()
      const stop = village.primary.subscribe(lab.gossip, () => {
        running.resolve()
        return gate.promise
      })
      const broadcast = village.victim.broadcast(lab.gossip, 'wait for it')
      await running.promise
      for (let id = 1; id < 10; id++)
        villain.send({ type: FrameType.receivers, to: 1, id }, { sent: [], deaf: [], lagging: [] })
      await villain.isThrownOut()
      gate.resolve()
      expect((await broadcast).outcomes).toMatchObject([
        { member: { number: 0 }, status: 'applied' },
        { member: { number: 1 }, status: 'no-subscriber' },
        { member: { number: 2 }, status: 'no-subscriber' },
        { member: { number: VILLAIN }, status: 'no-subscriber' },
      ])
      stop()
    })
  })
}
