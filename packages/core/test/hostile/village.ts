// A cluster in which one member breaks the rules on purpose, over the links of the transport that is tested.

import { ClusterPeer } from '@clusterwire/core/cluster'
import { expect, onTestFinished } from 'vitest'
import { systemClock } from '../../src/cluster/clock.js'
import { Router } from '../../src/cluster/router.js'
import { joinOver } from '../../src/cluster/uplink.js'
import { type Frame, type FrameHead, FrameType, PROTOCOL_VERSION } from '../../src/frames.js'
import { Peer } from '../../src/peer.js'
import type { Link } from '../../src/transport.js'
import { encodeValue } from '../../src/transports/codec.js'
import { FrameReader } from '../../src/transports/frame-reader.js'
import { FrameBuffer } from '../../src/transports/framing.js'
import { createLinkPair } from '../../src/transports/memory.js'
import { SocketLink } from '../../src/transports/socket.js'
import { lab } from '../fixtures/lab.js'
import { serveLab } from '../fixtures/workbench.js'
import { createSocketPair } from '../socket-pair.js'
import { type Failed, until } from '../support.js'

/** The number of the one that breaks the rules. */
export const VILLAIN = 3
/** Bytes that are no value. */
export const NONSENSE = Buffer.from([0xff, 0xfe, 0xfd, 0x00, 0xff])
/** How many procedures an honest worker serves: all of the lab's members but its topics. */
const PROCEDURES = Object.values(lab).filter(({ kind }) => kind !== 'topic').length
export const ada = { name: 'Ada', times: 1 }

/** The other side of a link, where bytes can be written that are no frame. */
export interface Outlaw {
  /** The honest end. */
  readonly link: Link
  write(bytes: Buffer): void
  /** Ends it, whatever has been written. */
  end(): void
  start(events: { frame(frame: Frame): void; closed(): void }): void
}

/** How honest and other members are connected to the primary. */
export interface Transport {
  readonly name: string
  createLinks(): readonly [Link, Link] | Promise<readonly [Link, Link]>
  createOutlaw(): Outlaw | Promise<Outlaw>
}

const memory: Transport = {
  name: 'memory',
  createLinks: () => createLinkPair(),
  createOutlaw() {
    const [link, far] = createLinkPair()
    return {
      link,
      write: (bytes) => link.deliver(bytes),
      end: () => far.destroy(new Error('caught')),
      start: (events) => far.start(events),
    }
  },
}

const sockets: Transport = {
  name: 'sockets',
  async createLinks() {
    const [near, far] = await createSocketPair()
    return [new SocketLink(near), new SocketLink(far)]
  },
  async createOutlaw() {
    const [near, far] = await createSocketPair()
    far.on('error', () => {}) // It is written to although the honest end has gone.
    return {
      link: new SocketLink(near),
      write: (bytes) => far.write(bytes),
      end: () => far.end(),
      start(events) {
        const reader = new FrameReader()
        far.on('data', (chunk) => reader.push(chunk, (frame) => events.frame(frame)))
        far.on('close', () => events.closed())
      },
    }
  },
}

export const TRANSPORTS: readonly Transport[] = [memory, sockets]

/** A primary and two honest workers. */
export class Village {
  readonly primary: ClusterPeer
  readonly workers: ClusterPeer[] = []
  readonly errors: unknown[] = []
  readonly router: Router
  readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
    this.router = new Router(
      (linkTo, announce) =>
        new Peer({ id: 'primary', number: 0, clock: systemClock, linkTo, announce }),
    )
    this.primary = new ClusterPeer(this.router.peer, (error) => this.errors.push(error))
    serveLab(this.primary)
  }

  static async found(transport: Transport): Promise<Village> {
    const village = new Village(transport)
    const links: Link[] = []
    for (const number of [1, 2]) {
      const [near, far] = await transport.createLinks()
      links.push(far)
      village.router.attach(number, near)
      const hello = { id: `worker ${number}`, pid: number }
      const peer = await joinOver({ link: far, hello, clock: systemClock, onLost() {} })
      const worker = new ClusterPeer(peer, (error) => village.errors.push(error))
      serveLab(worker)
      village.workers.push(worker)
    }
    for (const { number } of village.workers) await village.admit(number, PROCEDURES)
    onTestFinished(async () => {
      await village.isWell()
      await until(() => village.everyone.every(({ pending }) => pending === 0), 'all has ended')
      expect(village.errors).toEqual([])
      for (const link of links) link.destroy(new Error('the test is over'))
    })
    return village
  }

  /** Makes a worker ready when it has announced so many procedures, and waits until all the honest know. */
  async admit(number: number, procedures: number): Promise<void> {
    const { directory } = this.primary.peer
    const announced = () => (directory.get(number)?.procedures.size ?? 0) >= procedures
    await until(announced, `worker ${number} has said what it serves`)
    this.router.setState(number, 'ready')
    const knows = ({ peer }: ClusterPeer) => peer.directory.get(number)?.state === 'ready'
    await until(() => this.everyone.every(knows), `everybody knows worker ${number}`)
  }

  get everyone(): ClusterPeer[] {
    return [this.primary, ...this.workers]
  }

  get victim(): ClusterPeer {
    return this.workers[0] as ClusterPeer
  }

  /** What everybody honest has announced before has arrived. */
  async isCalm(): Promise<void> {
    for (const peer of this.everyone) await peer.broadcast(lab.gossip, 'is everybody there?')
  }

  /** Everybody honest answers everybody honest, and hears what is published. */
  async isWell(): Promise<void> {
    const heard: number[] = []
    const stops = this.everyone.map((peer) =>
      peer.subscribe(lab.news, () => {
        heard.push(peer.number)
      }),
    )
    await this.isCalm()
    for (const caller of this.everyone) {
      for (const to of [0, 1, 2]) expect((await caller.client(lab, { to }).greet(ada)).by).toBe(to)
      heard.length = 0
      await caller.broadcast(lab.news, { n: 1 })
      expect(heard.sort()).toEqual([0, 1, 2])
    }
    for (const stop of stops) stop()
  }
}

/** A member that says whatever it is told to. */
export class Villain {
  readonly number: number
  /** What it has got. */
  readonly received: { type: number; id: number; from: number; body: Buffer }[] = []
  /** Its side has seen the link's end. */
  ended = false
  /** Bytes that it has sent. */
  sent = 0
  /** Why the link has ended, as the primary sees it. */
  reason: Failed | undefined
  readonly #outlaw: Outlaw
  #lastId = 0

  constructor(village: Village, outlaw: Outlaw, number = VILLAIN) {
    this.number = number
    this.#outlaw = outlaw
    const left = (reason: Error | undefined) => {
      this.reason = reason as Failed | undefined
    }
    village.router.attach(number, outlaw.link, { left })
    outlaw.start({
      frame: ({ type, id, from, bytes, body, end }) =>
        this.received.push({ type, id, from, body: Buffer.from(bytes.subarray(body, end)) }),
      closed: () => {
        this.ended = true
      },
    })
    onTestFinished(() => this.end())
  }

  /** One whose link is there, and nothing else. */
  static async come(village: Village, number?: number): Promise<Villain> {
    return new Villain(village, await village.transport.createOutlaw(), number)
  }

  /** One that has joined, serves `hold`, `count`, `sum` and `pieces`, and is ready. */
  static async join(village: Village, number?: number): Promise<Villain> {
    const villain = await Villain.come(village, number)
    villain.send({ type: FrameType.hello, arg: PROTOCOL_VERSION }, { id: 'villain', pid: 6 })
    const procedures = ['lab.hold', 'lab.count', 'lab.sum', 'lab.pieces'].map((name) => [name, ''])
    villain.send({ type: FrameType.announce }, { procedures })
    await village.admit(villain.number, procedures.length)
    return villain
  }

  nextId(): number {
    return ++this.#lastId
  }

  /** Puts bytes on the wire as they are. */
  raw(bytes: Buffer): void {
    this.sent += bytes.length
    this.#outlaw.write(bytes)
  }

  /** Sends a frame. A Buffer is its body as it stands, anything else its encoded value. */
  send(head: Partial<FrameHead>, body?: unknown): void {
    const whole = { type: 0, flags: 0, ref: 0, to: 0, from: this.number, id: 0, arg: 0, ...head }
    this.raw(frameOf(whole, body))
  }

  /** Leaves. */
  end(): void {
    this.#outlaw.end()
  }

  /** The primary has thrown it out for breaking the protocol. */
  async isThrownOut(): Promise<void> {
    await until(() => this.ended && this.reason !== undefined, 'its link has ended')
    expect(this.reason?.code).toBe('PROTOCOL_ERROR')
  }

  async got(type: number, from = 0): Promise<{ id: number; body: Buffer }> {
    const find = () => this.received.findLast((one) => one.type === type && one.from === from)
    await until(() => find() !== undefined, `the villain gets a frame of type ${type}`)
    return find() as { id: number; body: Buffer }
  }

  /** The exchange that somebody has just opened here. */
  async asked(from: number): Promise<number> {
    return (await this.got(FrameType.open, from)).id
  }

  /** Asks the primary something decent, behind all that was sent before. */
  async isStillServed(): Promise<void> {
    const id = this.nextId()
    this.send({ type: FrameType.open, id }, ada)
    const answered = () => this.received.some((one) => one.type === 12 && one.id === id)
    await until(() => answered() || this.ended, 'it is answered')
    expect(this.reason).toBeUndefined()
    expect(this.ended).toBe(false)
  }
}

export function frameOf(head: FrameHead, body?: unknown): Buffer {
  const buffer = new FrameBuffer()
  const out = buffer.begin(head)
  try {
    if (Buffer.isBuffer(body)) out.bytes(body)
    else if (body !== undefined) encodeValue(out, body)
  } catch (error) {
    buffer.abandon()
    throw error
  }
  buffer.commit()
  return Buffer.from(buffer.next())
}

/** The body of a publication. */
export function publication(name: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from(name), value])
}

export async function drained(values: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of values);
}

/** More than any window has room for when it is sent ten times. */
export const large: Uint8Array = new Uint8Array(60_000)
export const nothing: FrameHead = { type: 0, flags: 0, ref: 0, to: 0, from: 0, id: 0, arg: 0 }

export type Deed = (villain: Villain) => void
