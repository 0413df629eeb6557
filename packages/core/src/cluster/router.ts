// The primary's switchboard: every link of the cluster ends here. It knows who is there, passes frames on without looking into their
// bodies, and gives publications to those who listen.

import {
  type ClusterwireError,
  OverloadedError,
  ProtocolError,
  WorkerLostError,
} from '../errors.js'
import { send } from '../exchange.js'
import { describeError } from '../failure.js'
import {
  type Announcement,
  EVERYONE,
  Flag,
  type Frame,
  type FrameHead,
  FrameType,
  type Hello,
  type MemberState,
  PRIMARY,
  type Receivers,
  type Welcome,
} from '../frames.js'
import type { Peer } from '../peer.js'
import { checkPublication, stampVersion, topicOf } from '../publication.js'
import type { Link } from '../transport.js'
import { encodeValue } from '../transports/codec.js'
import { FLAGS_AT, framesIn } from '../transports/framing.js'
import { createLinkPair } from '../transports/memory.js'
import { readAnnouncement, readHello } from './claims.js'
import { WayOut } from './way-out.js'

/** What the router tells of one link. */
export interface AttachEvents {
  /** The member has said hello and knows everybody. */
  joined?(hello: Hello): void
  /** The link has ended, and everyone knows. */
  left?(reason: Error | undefined): void
}

/** Bytes that may wait for a member before other workers' requests to it are refused. */
const MAX_REQUEST_BACKLOG = 64 * 1024 * 1024

/** Bytes that may wait for a member before publications to it are dropped. */
const MAX_PUBLICATION_BACKLOG = 16 * 1024 * 1024

const NOBODY: ReadonlySet<number> = new Set()

/** The switchboard. */
export class Router {
  readonly #peer: Peer
  readonly #links = new Map<number, Link>()
  /** Who listens to a topic. */
  readonly #listeners = new Map<string, Set<number>>()
  /** The last value of each retained topic. */
  readonly #retained = new Map<string, { readonly version: number; readonly bytes: Buffer }>()
  /** The primary's own peer on its way to itself, and to everyone. */
  readonly #toSelf: Link
  readonly #toEveryone: Link

  /** @param peer makes the primary's own peer, given its way to the others; it is the first member */
  constructor(
    peer: (linkTo: (number: number) => Link | undefined, announce: Peer['announce']) => Peer,
  ) {
    const [near, far] = createLinkPair()
    this.#toSelf = near
    this.#links.set(PRIMARY, far)
    this.#toEveryone = new WayOut((frame) => this.#publish(PRIMARY, frame))
    this.#peer = peer(
      (number) => this.#linkFromPrimary(number),
      (change) => this.#announce({ ...change, number: PRIMARY }),
    )
    this.#peer.directory.add({ number: PRIMARY, id: this.#peer.id, state: 'ready', procedures: [] })
    near.start({ frame: (frame) => this.#deliver(frame), closed() {} })
    far.start({ frame: (frame) => this.#passOn(frame), closed() {} })
  }

  get peer(): Peer {
    return this.#peer
  }

  /** Takes a new member in under this number. It must say hello before anything else. */
  attach(number: number, link: Link, events: AttachEvents = {}): void {
    let joined = false
    link.start({
      frame: (frame) => {
        if (joined) return this.#receive(number, frame)
        const hello = readHello(frame)
        joined = true
        this.#join(number, hello, link)
        events.joined?.(hello)
      },
      closed: (reason, unsent) => {
        if (joined) this.#leave(number, reason?.message ?? 'its link ended', unsent)
        events.left?.(reason)
      },
    })
  }

  /** Changes a member's state, as everybody sees it. */
  setState(number: number, state: MemberState): void {
    if (this.#peer.directory.get(number) !== undefined) this.#announce({ number, state })
  }

  #linkFromPrimary(number: number): Link | undefined {
    if (number === PRIMARY) return this.#toSelf
    return number === EVERYONE ? this.#toEveryone : this.#links.get(number)
  }

  #join(number: number, hello: Hello, link: Link): void {
    const { directory } = this.#peer
    this.#announce({ number, id: hello.id, state: 'joined' })
    this.#links.set(number, link)
    const welcome: Welcome = { number, members: directory.all().map((one) => one.describe()) }
    send(link, headOf(FrameType.welcome, number), encodeValue, welcome)
  }

  #leave(number: number, why: string, unsent: Iterable<Frame>): void {
    this.#links.delete(number)
    for (const topic of [...this.#listeners.keys()]) this.#unlisten(topic, number)
    for (const frame of unsent) this.#returnToSender(frame, lost(number))
    this.#peer.gone(number, why)
    // Behind the data that it had sent and that waits here, or a stream that it had completed would look cut.
    for (const [other, link] of this.#links)
      if (other !== PRIMARY)
        send(
          link,
          { ...headOf(FrameType.gone, other), flags: Flag.bulk, arg: number },
          encodeValue,
          why,
        )
  }

  #receive(from: number, frame: Frame): void {
    if (frame.from !== from)
      throw new ProtocolError(`Worker ${from} sent a frame in the name of peer ${frame.from}`)
    if (frame.type === FrameType.announce) this.#announced(from, frame)
    else if (frame.type === FrameType.publish) this.#publish(from, frame)
    else if (frame.type < FrameType.open || frame.type === FrameType.receivers)
      throw new ProtocolError(`Worker ${from} sent a frame of type ${frame.type}`)
    else this.#passOn(frame)
  }

  /** Gives the primary's own peer what comes to it as one of many: for what is wrong with that, the one who published it is to blame. */
  #deliver(frame: Frame): void {
    try {
      this.#peer.receive(frame)
    } catch (error) {
      if (frame.from === PRIMARY) throw error
      this.#links.get(frame.from)?.destroy(error as Error)
    }
  }

  #passOn(frame: Frame): void {
    if (frame.to === PRIMARY) return this.#peer.receive(frame)
    const link = this.#links.get(frame.to)
    if (link === undefined) this.#returnToSender(frame, lost(frame.to))
    else if (frame.type === FrameType.open && link.queued > MAX_REQUEST_BACKLOG)
      this.#returnToSender(frame, overloaded(frame.to, link.queued))
    else link.forward(frame)
  }

  /** A request that can't be handed over any more is answered in its addressee's name: it has not run. */
  #returnToSender(frame: Frame, error: ClusterwireError): void {
    if (frame.type !== FrameType.open) return
    if (frame.from === PRIMARY) return this.#peer.returned(frame)
    const link = this.#links.get(frame.from)
    if (link === undefined) return
    const head = { ...headOf(FrameType.error, frame.from), from: frame.to, id: frame.id }
    send(link, head, encodeValue, describeError(error))
  }

  #announced(number: number, frame: Frame): void {
    this.#announce({ ...readAnnouncement(frame), number })
  }

  #announce({ subscribe = [], unsubscribe = [], ...change }: Announcement): void {
    const { number } = change
    for (const topic of subscribe) {
      this.#listenersOf(topic).add(number)
      this.#replay(topic, number)
    }
    for (const topic of unsubscribe) this.#unlisten(topic, number)
    if (change.id === undefined && change.state === undefined && change.procedures === undefined)
      return
    this.#peer.directory.apply(change)
    for (const [other, link] of this.#links)
      if (other !== PRIMARY) send(link, headOf(FrameType.announce, other), encodeValue, change)
  }

  #unlisten(topic: string, number: number): void {
    const numbers = this.#listeners.get(topic)
    numbers?.delete(number)
    if (numbers?.size === 0) this.#listeners.delete(topic)
  }

  #listenersOf(topic: string): Set<number> {
    let numbers = this.#listeners.get(topic)
    if (numbers === undefined) {
      numbers = new Set()
      this.#listeners.set(topic, numbers)
    }
    return numbers
  }

  /**
   * Gives a publication to all who listen. For one that is awaited, this moment decides who is waited for: whoever is ready now
   * gets it, and whoever gets ready later does so after it.
   */
  #publish(from: number, frame: Frame): void {
    checkPublication(frame)
    const topic = topicOf(frame)
    if ((frame.flags & Flag.retain) !== 0) this.#retain(topic, frame)
    const listeners = this.#listeners.get(topic) ?? NOBODY
    const lagging = [...listeners].filter((number) => this.#lags(number))
    if ((frame.flags & Flag.acknowledge) !== 0)
      this.#tellReceivers(from, frame.id, { listeners, lagging })
    for (const number of listeners)
      if (!lagging.includes(number)) this.#links.get(number)?.forward(frame)
  }

  /** Whether so much waits for a member already that publications would pile up without bound. */
  #lags(number: number): boolean {
    return (this.#links.get(number)?.queued ?? 0) > MAX_PUBLICATION_BACKLOG
  }

  #tellReceivers(
    publisher: number,
    id: number,
    { listeners, lagging }: { listeners: ReadonlySet<number>; lagging: readonly number[] },
  ): void {
    const link = this.#links.get(publisher)
    if (link === undefined) return
    // One that is still booting gets the publication too, but may take long to answer.
    const settled = this.#peer.directory
      .all()
      .filter(({ state }) => state !== 'joined')
      .map(({ number }) => number)
    const listening = settled.filter((number) => listeners.has(number))
    const receivers: Receivers = {
      sent: listening.filter((number) => !lagging.includes(number)),
      deaf: settled.filter((number) => number !== PRIMARY && !listeners.has(number)),
      lagging: listening.filter((number) => lagging.includes(number)),
    }
    send(link, { ...headOf(FrameType.receivers, publisher), id }, encodeValue, receivers)
  }

  /** Keeps the value, as the publisher's own bytes, in place of the one before it. */
  #retain(topic: string, frame: Frame): void {
    const version = (this.#retained.get(topic)?.version ?? 0) + 1
    stampVersion(frame, version)
    const bytes = Buffer.from(frame.bytes.subarray(frame.start, frame.end))
    // Whoever gets it later has nobody to acknowledge it to.
    bytes[FLAGS_AT] = (frame.flags | Flag.replay) & ~Flag.acknowledge
    this.#retained.set(topic, { version, bytes })
  }

  #replay(topic: string, number: number): void {
    const retained = this.#retained.get(topic)
    if (retained === undefined) return
    for (const frame of framesIn(retained.bytes)) this.#links.get(number)?.forward(frame)
  }
}

function lost(number: number): WorkerLostError {
  return new WorkerLostError(`Worker ${number} was lost before the request reached it`, {
    started: 'no',
  })
}

function overloaded(number: number, bytes: number): OverloadedError {
  return new OverloadedError(
    `${bytes} bytes wait for worker ${number} already, which does not read fast enough; try again later`,
  )
}

function headOf(type: number, to: number): FrameHead {
  return { type, flags: 0, ref: 0, to, from: PRIMARY, id: 0, arg: 0 }
}
