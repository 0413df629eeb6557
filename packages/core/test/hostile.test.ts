// A member that breaks the rules on purpose. Its own link may end; nobody else may notice.

import { ClusterPeer } from '@clusterwire/core/cluster'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../src/cluster/clock.js'
import { Router } from '../src/cluster/router.js'
import { joinOver } from '../src/cluster/uplink.js'
import {
  CancelReason,
  EVERYONE,
  Flag,
  type FrameHead,
  FrameType,
  PROTOCOL_VERSION,
} from '../src/frames.js'
import { Peer } from '../src/peer.js'
import { WINDOW_BYTES } from '../src/streams.js'
import { encodeValue } from '../src/transports/codec.js'
import { FrameBuffer } from '../src/transports/framing.js'
import { createLinkPair, type MemoryLink } from '../src/transports/memory.js'
import { lab } from './fixtures/lab.js'
import { serveLab } from './fixtures/workbench.js'
import { deferred, failureOf, turn, until } from './support.js'

/** Bytes that are no value. */
const NONSENSE = Buffer.from([0xff, 0xfe, 0xfd, 0x00, 0xff])

const VILLAIN = 3
const ada = { name: 'Ada', times: 1 }

/** A primary, two honest workers, and one that says whatever it is told to. */
class Village {
  readonly primary: ClusterPeer
  readonly workers: ClusterPeer[] = []
  readonly errors: unknown[] = []
  readonly router: Router

  constructor() {
    this.router = new Router(
      (linkTo, announce) =>
        new Peer({ id: 'primary', number: 0, clock: systemClock, linkTo, announce }),
    )
    this.primary = new ClusterPeer(this.router.peer, (error) => this.errors.push(error))
    serveLab(this.primary)
  }

  static async found(): Promise<Village> {
    const village = new Village()
    for (const number of [1, 2]) {
      const [near, far] = createLinkPair()
      village.router.attach(number, near)
      const hello = { id: `worker ${number}`, pid: number }
      const peer = await joinOver({ link: far, hello, clock: systemClock, onLost() {} })
      const worker = new ClusterPeer(peer, (error) => village.errors.push(error))
      serveLab(worker)
      village.workers.push(worker)
    }
    await turn()
    for (const { number } of village.workers) village.router.setState(number, 'ready')
    await turn()
    onTestFinished(async () => {
      await village.isWell()
      await until(() => village.everyone.every(({ pending }) => pending === 0), 'all has ended')
      expect(village.errors).toEqual([])
    })
    return village
  }

  get everyone(): ClusterPeer[] {
    return [this.primary, ...this.workers]
  }

  get victim(): ClusterPeer {
    return this.workers[0] as ClusterPeer
  }

  /** Everybody honest answers everybody honest, and hears what is published. */
  async isWell(): Promise<void> {
    const heard: number[] = []
    const stops = this.everyone.map((peer) =>
      peer.subscribe(lab.news, () => {
        heard.push(peer.number)
      }),
    )
    for (const peer of this.everyone) await peer.broadcast(lab.gossip, 'is everybody there?')
    for (const caller of this.everyone) {
      for (const to of [0, 1, 2]) expect((await caller.client(lab, { to }).greet(ada)).by).toBe(to)
      heard.length = 0
      await caller.broadcast(lab.news, { n: 1 })
      expect(heard.sort()).toEqual([0, 1, 2])
    }
    for (const stop of stops) stop()
  }
}

/** One that has joined, serves `hold`, `count` and `sum`, and is ready. */
class Villain {
  readonly near: MemoryLink
  readonly far: MemoryLink
  readonly number: number
  /** What it has got, by type of frame, with the id of the exchange. */
  readonly received: { readonly type: number; readonly id: number; readonly from: number }[] = []
  ended = false
  #lastId = 0

  constructor(village: Village, number = VILLAIN) {
    this.number = number
    const [near, far] = createLinkPair()
    this.near = near
    this.far = far
    village.router.attach(number, near)
    far.start({
      frame: ({ type, id, from }) => this.received.push({ type, id, from }),
      closed: () => {
        this.ended = true
      },
    })
  }

  static async join(village: Village, number = VILLAIN): Promise<Villain> {
    const villain = new Villain(village, number)
    villain.send({ type: FrameType.hello, arg: PROTOCOL_VERSION }, { id: 'villain', pid: 6 })
    const procedures = ['lab.hold', 'lab.count', 'lab.sum'].map((name) => [name, ''])
    villain.send({ type: FrameType.announce }, { procedures })
    village.router.setState(number, 'ready')
    await turn()
    return villain
  }

  nextId(): number {
    return ++this.#lastId
  }

  /** Puts bytes on the wire as they are. */
  raw(bytes: Buffer): void {
    this.near.deliver(bytes)
  }

  /** Sends a frame. A Buffer is its body as it stands, anything else its encoded value. */
  send(head: Partial<FrameHead>, body?: unknown): void {
    const whole = { type: 0, flags: 0, ref: 0, to: 0, from: this.number, id: 0, arg: 0, ...head }
    this.raw(frameOf(whole, body))
  }

  /** The exchange that somebody has just opened here. */
  async asked(from: number): Promise<number> {
    const find = () => this.received.findLast((one) => one.type === 8 && one.from === from)
    await until(() => find() !== undefined, 'the villain is asked')
    return (find() as { readonly id: number }).id
  }
}

function frameOf(head: FrameHead, body?: unknown): Buffer {
  const buffer = new FrameBuffer()
  const out = buffer.begin(head)
  if (Buffer.isBuffer(body)) out.bytes(body)
  else if (body !== undefined) encodeValue(out, body)
  buffer.commit()
  return Buffer.from(buffer.take())
}

/** The body of a publication. */
function publication(name: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from(name), value])
}

type Deed = (villain: Villain) => void

describe('before it has said hello', () => {
  const deeds: [string, Deed][] = [
    ['garbage', (v) => v.raw(Buffer.from('GET / HTTP/1.1\r\nHost: here\r\n\r\n'))],
    ['a frame that is too large', (v) => v.raw(Buffer.alloc(28, 0x7f))],
    ['a call', (v) => v.send({ type: FrameType.open, id: 1 }, {})],
    ['an announcement', (v) => v.send({ type: FrameType.announce }, {})],
    ['another version', (v) => v.send({ type: FrameType.hello, arg: 99 }, { id: 'v', pid: 1 })],
    ['a hello that is no value', (v) => v.send({ type: FrameType.hello, arg: 1 }, NONSENSE)],
    ['a hello that is null', (v) => v.send({ type: FrameType.hello, arg: 1 }, null)],
    ['a hello without a name', (v) => v.send({ type: FrameType.hello, arg: 1 }, { id: 5 })],
  ]
  test.each(deeds)('%s ends its link', async (_name, deed) => {
    const village = await Village.found()
    const villain = new Villain(village)
    deed(villain)
    await until(() => villain.ended, 'its link has ended')
    expect(village.primary.peer.directory.get(VILLAIN)).toBeUndefined()
  })
})

const toPrimary: [string, Deed][] = [
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

describe('to the primary', () => {
  test.each(toPrimary)('%s ends its link, and fails the calls it had', async (_name, deed) => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const calls = village.everyone.map((peer) =>
      failureOf(peer.client(lab, { to: VILLAIN }).hold(1)),
    )
    await until(() => villain.received.filter(({ type }) => type === 8).length === 3, 'all asked')
    deed(villain)
    await until(() => villain.ended, 'its link has ended')
    for (const { code } of await Promise.all(calls)) expect(code).toBe('WORKER_LOST')
    expect(village.primary.peer.directory.get(VILLAIN)).toBeUndefined()
  })

  test('an answer that is no value ends its link, and the call that it was for', async () => {
    const village = await Village.found()
    for (const type of [FrameType.reply, FrameType.error]) {
      const villain = await Villain.join(village, VILLAIN + type)
      const call = failureOf(village.primary.client(lab, { to: villain.number }).hold(1))
      villain.send({ type, id: await villain.asked(0) }, NONSENSE)
      expect(['WORKER_LOST', 'PROTOCOL_ERROR']).toContain((await call).code)
      await until(() => villain.ended, 'its link has ended')
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
    const village = await Village.found()
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
    const village = await Village.found()
    const honest = await Villain.join(village, 9)
    const call = village.primary.client(lab, { to: 9 }).hold(1)
    const id = await honest.asked(0)
    const villain = await Villain.join(village)
    villain.send({ type: FrameType.reply, id }, 'stolen')
    await until(() => villain.ended, 'its link has ended')
    honest.send({ type: FrameType.reply, id }, 'earned')
    expect(await call).toBe('earned')
    honest.far.destroy(new Error('done'))
  })

  test('more of a stream than it has credit for ends its link', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const count = village.primary.client(lab, { to: VILLAIN }).count({ to: 1 })
    const reading = failureOf(drained(count))
    const id = await villain.asked(0)
    for (let sent = 0; sent < WINDOW_BYTES * 2; sent += 60_000)
      villain.send({ type: FrameType.data, id, flags: Flag.bulk }, large)
    await until(() => villain.ended, 'its link has ended')
    expect((await reading).code).toBe('WORKER_LOST')
  })

  test('more credit than was spent ends its link', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const call = failureOf(
      village.primary.client(lab, { to: VILLAIN }).sum(undefined, { upload: [1] }),
    )
    const id = await villain.asked(0)
    await until(() => villain.received.some(({ type }) => type === FrameType.data), 'data came')
    villain.send({ type: FrameType.credit, id, arg: 0xffff_ffff })
    await until(() => villain.ended, 'its link has ended')
    expect((await call).code).toBe('WORKER_LOST')
  })

  test('a receipt that is no value ends its link; the broadcast goes on without it', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    villain.send({ type: FrameType.announce }, { subscribe: [lab.news.name] })
    const broadcast = village.primary.broadcast(lab.news, { n: 1 })
    await until(() => villain.received.some(({ type }) => type === FrameType.publish), 'it came')
    const { id } = villain.received.find(({ type }) => type === FrameType.publish) as { id: number }
    villain.send({ type: FrameType.applied, id }, NONSENSE)
    await until(() => villain.ended, 'its link has ended')
    const { outcomes } = await broadcast
    expect(outcomes.find(({ member }) => member.number === VILLAIN)?.status).toBe('exited')
  })

  test('a value that is none ends the link of who published it; the primary goes on listening', async () => {
    const village = await Village.found()
    const stops = village.everyone.map((peer) => peer.subscribe(lab.gossip, () => {}))
    await turn()
    const villain = await Villain.join(village)
    const { name } = lab.gossip
    villain.send(
      { type: FrameType.publish, to: EVERYONE, arg: name.length },
      publication(name, NONSENSE),
    )
    await until(() => villain.ended, 'its link has ended')
    for (const stop of stops) stop()
  })

  test('a value that does not fit is refused by those who listen, and harms nobody', async () => {
    const village = await Village.found()
    const stops = village.everyone.map((peer) => peer.subscribe(lab.news, () => {}))
    await turn()
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
    villain.far.destroy(new Error('done'))
  })

  test('frames to somebody who is not there go nowhere', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    for (const type of Object.values(FrameType).filter((one) => one >= 8 && one !== 17))
      villain.send({ type, to: 77, id: villain.nextId(), arg: 0 }, ada)
    await turn()
    expect(villain.ended).toBe(false)
    villain.far.destroy(new Error('done'))
  })
})

const nothing = { type: 0, flags: 0, ref: 0, to: 0, from: 0, id: 0, arg: 0 }
const large = new Uint8Array(60_000)

async function drained(values: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of values);
}

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

describe('to another worker', () => {
  test.each(toWorker)('%s is counted and dropped', async (_name, deed) => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    deed(villain)
    await until(() => village.victim.peer.counters.violations > 0, 'the victim has noticed')
    await village.isWell()
    villain.far.destroy(new Error('done'))
    await until(() => village.victim.peer.serving === 0, 'nothing of it is left')
  })

  test('a call that is no value is answered with PROTOCOL_ERROR', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    villain.send({ type: FrameType.open, to: 1, id: 5 }, NONSENSE)
    await until(
      () => villain.received.some(({ type, id }) => type === FrameType.error && id === 5),
      'it is told',
    )
    villain.far.destroy(new Error('done'))
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
    [
      'data beyond its credit',
      (v: Villain, id: number) => {
        for (let n = 0; n < 10; n++) v.send({ type: 10, to: 1, id, flags: Flag.bulk }, large)
      },
    ],
  ])('%s ends the stream that it belongs to, and nothing else', async (_name, deed) => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const count = village.victim.client(lab, { to: VILLAIN }).count({ to: 1 })
    const reading = failureOf(drained(count))
    deed(villain, await villain.asked(1))
    expect((await reading).code).toBe('PROTOCOL_ERROR')
    await village.isWell()
    villain.far.destroy(new Error('done'))
  })

  test('an answer that is no value ends the call that it belongs to, and nothing else', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const call = failureOf(village.victim.client(lab, { to: VILLAIN }).hold(1))
    villain.send({ type: FrameType.reply, to: 1, id: await villain.asked(1) }, NONSENSE)
    expect((await call).code).toBe('PROTOCOL_ERROR')
    await village.isWell()
    villain.far.destroy(new Error('done'))
  })

  test('more credit than was spent ends the upload that it belongs to', async () => {
    const village = await Village.found()
    const villain = await Villain.join(village)
    const sum = village.victim.client(lab, { to: VILLAIN }).sum(undefined, { upload: [1] })
    const call = failureOf(sum)
    const id = await villain.asked(1)
    await until(() => villain.received.some(({ type }) => type === FrameType.data), 'data came')
    villain.send({ type: FrameType.credit, to: 1, id, arg: 0xffff_ffff })
    expect((await call).code).toBe('PROTOCOL_ERROR')
    villain.far.destroy(new Error('done'))
  })

  test('a worker’s own broadcast can not be settled by another worker', async () => {
    const village = await Village.found()
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
    await until(() => villain.ended, 'its link has ended')
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
    const village = await Village.found()
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
        villain.far.destroy(new Error('caught'))
        await Promise.all(calls)
        village.errors.length = 0
        await village.isWell()
      }),
      { numRuns: 200 },
    )
  }, 60_000)
})
