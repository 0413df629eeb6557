// What breaks the rules towards the primary: it ends the link that it came over, and nothing else.

import { describe, expect, test } from 'vitest'
import { EVERYONE, Flag, FrameType } from '../../src/frames.js'
import { WINDOW_BYTES } from '../../src/streams.js'
import { lab } from '../fixtures/lab.js'
import { failureOf, until } from '../support.js'
import {
  ada,
  type Deed,
  drained,
  frameOf,
  large,
  NONSENSE,
  nothing,
  publication,
  type Transport,
  VILLAIN,
  Village,
  Villain,
} from './village.js'

const names = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`)

/** Announces so much, in portions that fit into a frame. */
const announce = (key: string, all: readonly unknown[]) => (v: Villain) => {
  for (let at = 0; at < all.length; at += 10_000)
    v.send({ type: FrameType.announce }, { [key]: all.slice(at, at + 10_000) })
}

const toPrimary: [string, Deed][] = [
  ['a topic with a name that is too long', announce('subscribe', ['x'.repeat(261)])],
  ['a procedure with a name that is too long', announce('procedures', [['x'.repeat(261), '']])],
  ['a fingerprint that is too long', announce('procedures', [['x', 'y'.repeat(261)]])],
  ['too many topics', announce('subscribe', names(65_537))],
  [
    'too many procedures',
    announce(
      'procedures',
      names(65_533).map((name) => [name, '']),
    ),
  ],
  [
    'a publication with a name that is too long',
    (v) => v.send({ type: FrameType.publish, to: EVERYONE, arg: 261 }, Buffer.alloc(300)),
  ],
  ['a frame of a type that does not exist', (v) => v.send({ type: 99 }, 1)],
  ['a frame without a type', (v) => v.send({ type: 0 }, 1)],
  ['garbage', (v) => v.raw(Buffer.from('{"cmd":"NODE_HANDLE_ACK"}\n'.repeat(3)))],
  ['a frame that is announced as huge', (v) => v.raw(Buffer.alloc(28, 0xf0))],
  ['a second hello', (v) => v.send({ type: FrameType.hello, arg: 1 }, { id: 'v', pid: 1 })],
  ['a welcome', (v) => v.send({ type: FrameType.welcome }, { number: 1, members: [] })],
  ['the news of another’s death', (v) => v.send({ type: FrameType.gone, arg: 1 }, 'hehe')],
  ['receivers', (v) => v.send({ type: FrameType.receivers, id: 1 }, { sent: [], deaf: [] })],
  ['a frame in another’s name', (v) => v.send({ type: FrameType.open, from: 1, id: 1e6 }, ada)],
  ['a frame in the primary’s name', (v) => v.send({ type: FrameType.publish, from: 0, to: 1 })],
  ['an answer to what was never asked', (v) => v.send({ type: FrameType.reply, id: 1e9 }, 1)],
  ['an error to what was never asked', (v) => v.send({ type: FrameType.error, id: 1e9 }, {})],
  ['data for what was never asked', (v) => v.send({ type: FrameType.data, id: 1e9 }, 1)],
  ['a call of what is not served', (v) => v.send({ type: FrameType.open, ref: 999, id: 1 }, ada)],
  ['a call that is no value', (v) => v.send({ type: FrameType.open, id: 1 }, NONSENSE)],
  ['a call without a body', (v) => v.send({ type: FrameType.open, id: 1 })],
  [
    'a call with metadata that is cut off',
    (v) => v.send({ type: FrameType.open, id: 1, flags: Flag.meta }, Buffer.from([0])),
  ],
  [
    'a call with metadata longer than its frame',
    (v) =>
      v.send({ type: FrameType.open, id: 1, flags: Flag.meta }, Buffer.from([0, 9, 9, 9, 9, 0])),
  ],
  [
    'two calls with one id',
    (v) => {
      v.send({ type: FrameType.open, id: 7 }, ada)
      v.send({ type: FrameType.open, id: 7 }, ada)
    },
  ],
  [
    'calls whose ids go down',
    (v) => {
      v.send({ type: FrameType.open, id: 7 }, ada)
      v.send({ type: FrameType.open, id: 6 }, ada)
    },
  ],
  ['an announcement that is no value', (v) => v.send({ type: FrameType.announce }, NONSENSE)],
  ...[{ procedures: 'lab.greet' }, { procedures: [1] }, { procedures: [['a']] }, { subscribe: 7 }]
    .concat([{ subscribe: [{}] }, { unsubscribe: [null] }] as never)
    .map((body): [string, Deed] => [
      `the announcement ${JSON.stringify(body)}`,
      (v) => v.send({ type: FrameType.announce }, body),
    ]),
  [
    'a publication whose topic is longer than its frame',
    (v) => v.send({ type: FrameType.publish, to: EVERYONE, arg: 1e6 }, Buffer.from('lab.news')),
  ],
  [
    'a retained publication without room for its version',
    (v) =>
      v.send(
        { type: FrameType.publish, to: EVERYONE, arg: 8, flags: Flag.retain },
        Buffer.alloc(9),
      ),
  ],
]

export function describeToPrimary(transport: Transport): void {
  describe('to the primary', () => {
    test.each(toPrimary)('%s ends its link, and fails the calls it had', async (_name, deed) => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const calls = village.everyone.map((peer) =>
        failureOf(peer.client(lab, { to: VILLAIN }).hold(1)),
      )
      await until(() => villain.received.filter(({ type }) => type === 8).length === 3, 'all asked')
      deed(villain)
      await villain.isThrownOut()
      for (const { code } of await Promise.all(calls)) expect(code).toBe('WORKER_LOST')
      expect(village.primary.peer.directory.get(VILLAIN)).toBeUndefined()
    })

    test('as many topics and procedures as are allowed are no reason to end a link', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      announce('subscribe', names(65_536))(villain)
      announce('subscribe', names(65_536))(villain)
      announce(
        'procedures',
        names(65_532).map((name) => [name, '']),
      )(villain)
      await villain.isStillServed()
      villain.end()
    })

    test('a frame that is cut off by the end of its link is told as truncated', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      villain.raw(
        frameOf({ ...nothing, type: FrameType.open, id: 1, from: VILLAIN }, ada).subarray(0, 30),
      )
      villain.end()
      await villain.isThrownOut()
      expect(villain.reason?.message).toMatch(/truncated after 30 bytes of a frame of \d+ bytes/)
    })

    test('an end between two frames has no reason', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      await villain.isStillServed()
      villain.end()
      await until(() => village.primary.peer.directory.get(VILLAIN) === undefined, 'it has left')
      expect(villain.reason).toBeUndefined()
    })

    test('an answer that is no value ends its link, and the call that it was for', async () => {
      const village = await Village.found(transport)
      for (const type of [FrameType.reply, FrameType.error]) {
        const villain = await Villain.join(village, VILLAIN + type)
        const call = failureOf(village.primary.client(lab, { to: villain.number }).hold(1))
        villain.send({ type, id: await villain.asked(0) }, NONSENSE)
        expect(['WORKER_LOST', 'PROTOCOL_ERROR']).toContain((await call).code)
        await villain.isThrownOut()
      }
    })

    test.each([
      ['null', null],
      ['a text', 'no'],
      ['without anything', {}],
      ['with a code that is none', { code: { toString: 1 }, message: [] }],
      ['with a message that has no text', { code: 'HANDLER_ERROR', message: { toString: 1 } }],
      ['with a cause that is null', { message: 'x', thrown: { message: 'x', cause: null } }],
      ['with fields of ours', { code: 'FRAME_TOO_LARGE', data: { cause: 1, procedure: 2 } }],
      ['with issues that are none', { code: 'INVALID_REQUEST', message: 'x', data: [null, 1] }],
    ])('an error %s is still an error', async (_name, body) => {
      const village = await Village.found(transport)
      for (const [n, caller] of village.everyone.entries()) {
        const villain = await Villain.join(village, VILLAIN + n)
        const call = failureOf(caller.client(lab, { to: villain.number }).hold(1))
        villain.send(
          { type: FrameType.error, to: caller.number, id: await villain.asked(caller.number) },
          body,
        )
        expect(typeof (await call).message).toBe('string')
      }
    })

    test('an answer in another’s place ends its link, and is taken for nobody’s', async () => {
      const village = await Village.found(transport)
      const honest = await Villain.join(village, 9)
      const call = village.primary.client(lab, { to: 9 }).hold(1)
      const id = await honest.asked(0)
      const villain = await Villain.join(village)
      villain.send({ type: FrameType.reply, id }, 'stolen')
      await villain.isThrownOut()
      honest.send({ type: FrameType.reply, id }, 'earned')
      expect(await call).toBe('earned')
      honest.end()
    })

    test('more of a stream than it has credit for ends its link', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const pieces = village.primary.client(lab, { to: VILLAIN }).pieces({ count: 1, size: 1 })
      const first = pieces.next()
      const id = await villain.asked(0)
      for (let sent = 0; sent < WINDOW_BYTES * 2; sent += large.length)
        villain.send({ type: FrameType.data, id, flags: Flag.bulk }, large)
      await villain.isThrownOut()
      expect((await first).value).toEqual(large)
      expect((await failureOf(drained(pieces))).code).toBe('WORKER_LOST')
    })

    test('more credit than was spent ends its link', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const call = failureOf(
        village.primary.client(lab, { to: VILLAIN }).sum(undefined, { upload: [1] }),
      )
      const id = await villain.asked(0)
      await until(() => villain.received.some(({ type }) => type === FrameType.data), 'data came')
      villain.send({ type: FrameType.credit, id, arg: 0xffff_ffff })
      await villain.isThrownOut()
      expect((await call).code).toBe('WORKER_LOST')
    })

    test('a receipt that is no value ends its link; the broadcast goes on without it', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      villain.send({ type: FrameType.announce }, { subscribe: [lab.news.name] })
      await villain.isStillServed()
      const broadcast = village.primary.broadcast(lab.news, { n: 1 })
      await until(() => villain.received.some(({ type }) => type === FrameType.publish), 'it came')
      const { id } = villain.received.find(({ type }) => type === FrameType.publish) as {
        id: number
      }
      villain.send({ type: FrameType.applied, id }, NONSENSE)
      await villain.isThrownOut()
      const { outcomes } = await broadcast
      expect(outcomes.find(({ member }) => member.number === VILLAIN)?.status).toBe('exited')
    })

    test('a value that is none ends the link of who published it; the primary goes on listening', async () => {
      const village = await Village.found(transport)
      const stops = village.everyone.map((peer) => peer.subscribe(lab.gossip, () => {}))
      await village.isCalm()
      const villain = await Villain.join(village)
      const { name } = lab.gossip
      villain.send(
        { type: FrameType.publish, to: EVERYONE, arg: name.length },
        publication(name, NONSENSE),
      )
      await villain.isThrownOut()
      for (const stop of stops) stop()
    })

    test('a value that does not fit is refused by those who listen, and harms nobody', async () => {
      const village = await Village.found(transport)
      const stops = village.everyone.map((peer) => peer.subscribe(lab.news, () => {}))
      await village.isCalm()
      const villain = await Villain.join(village)
      const { name } = lab.news
      const value = frameOf({ ...nothing, type: 8 }, { n: 'not a number' }).subarray(28)
      villain.send(
        { type: FrameType.publish, to: EVERYONE, arg: name.length },
        publication(name, value),
      )
      await until(() => village.errors.length === 3, 'all have refused it')
      for (const error of village.errors.splice(0))
        expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'lab.news' })
      for (const stop of stops) stop()
      villain.end()
    })

    test('frames to somebody who is not there go nowhere', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const { receivers, room } = FrameType
      const addressed = (type: number) => type >= 8 && type !== receivers && type !== room
      for (const type of Object.values(FrameType).filter(addressed))
        villain.send({ type, to: 77, id: villain.nextId(), arg: 0 }, ada)
      await villain.isStillServed()
      villain.end()
    })
  })
}
