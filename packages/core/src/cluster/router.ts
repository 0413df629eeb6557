// The primary's switchboard: every link of the cluster ends here. It knows who is there, passes frames on without looking into their
// bodies, and gives publications to those who listen.

import {
  type ClusterwireError,
  IncompatibleError,
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
import { checkPublication, topicOf } from '../publication.js'
import type { Link } from '../transport.js'
import type { ByteWriter } from '../transports/bytes.js'
import { encodeValue } from '../transports/codec.js'
import { asProtocolError } from '../transports/frame-reader.js'
import { createLinkPair } from '../transports/memory.js'
import { readAnnouncement, readHello } from './claims.js'
import { Listeners } from './listeners.js'
import { type RetainedLimits, RetainedValues } from './retained.js'
import { WayOut } from './way-out.js'

/** What the router tells of one link. */
export interface AttachEvents {
  /** The member has said hello and knows everybody. */
  joined?(hello: Hello): void
  /** The link has ended, and everyone knows. */
  left?(reason: Error | undefined): void
}

/** What a router is made with. */
export interface RouterOptions {
  /** Gets what is wrong with a worker's publication that nobody waits for. */
  readonly onError?: (error: unknown, where: string) => void
  /** How much is kept of retained topics. */
  readonly retained?: RetainedLimits
}

/** Bytes that may wait for a member before other workers' requests to it are refused. */
const MAX_REQUEST_BACKLOG = 64 * 1024 * 1024

/** Bytes that may wait for a member before publications to it are dropped. */
const MAX_PUBLICATION_BACKLOG = 16 * 1024 * 1024

/** The switchboard. */
export class Router {
  readonly #peer: Peer
  readonly #links = new Map<number, Link>()
  readonly #listeners = new Listeners()
  readonly #retained: RetainedValues
  readonly #onError: RouterOptions['onError']
  /** The primary's own peer on its way to itself, and to everyone. */
  readonly #toSelf: Link
  readonly #toEveryone: Link

  /** @param peer makes the primary's own peer, given its way to the others; it is the first member */
  constructor(
    peer: (linkTo: (number: number) => Link | undefined, announce: Peer['announce']) => Peer,
    { onError, retained }: RouterOptions = {},
  ) {
    this.#onError = onError
    this.#retained = new RetainedValues(retained)
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

  /**
   * Takes a new member in under this number. It must say hello before anything else; one that speaks another version of the protocol is
   * told so, and its link is closed.
   */
  attach(number: number, link: Link, events: AttachEvents = {}): void {
    let joined = false
    let refused: Error | undefined
    link.start({
      frame: (frame) => {
        if (joined) return this.#receive(number, frame)
        if (refused !== undefined) return
        const hello = readHello(frame)
        if (hello instanceof IncompatibleError) {
          refused = hello
          send(link, headOf(FrameType.error, number), encodeValue, describeError(hello))
          void link.close()
          return
        }
        joined = true
        this.#join(number, hello, link)
        events.joined?.(hello)
      },
      closed: (reason, unsent) => {
        if (joined) this.#leave(number, reason?.message ?? 'its link ended', unsent)
        events.left?.(refused ?? reason)
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
    this.#listeners.forget(number)
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
    else if (frame.type === FrameType.gone) this.#heard(from, frame)
    else if (frame.type === FrameType.publish) this.#publish(from, frame)
    else if (frame.type < FrameType.open || frame.type === FrameType.receivers)
      throw new ProtocolError(`Worker ${from} sent a frame of type ${frame.type}`)
    else this.#passOn(frame)
  }

  /** A member has heard that another is gone. All that it had sent to that one has been seen here by now: it may count what is left as lost. */
  #heard(from: number, frame: Frame): void {
    const { arg: number } = frame
    if (this.#links.has(number))
      throw new ProtocolError(`Worker ${from} says that member ${number} is gone, which lives`)
    const link = this.#links.get(from)
    const head = { ...headOf(FrameType.gone, from), flags: Flag.acknowledge, arg: number }
    if (link !== undefined) send(link, head, copyBody, frame)
  }

  /** Gives the primary's own peer what comes to it as one of many: for what is wrong with that, the one who published it is to blame. */
  #deliver(frame: Frame): void {
    try {
      this.#peer.receive(frame)
    } catch (error) {
      if (frame.from === PRIMARY) throw error
      this.#links.get(frame.from)?.destroy(asProtocolError(error))
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
    const procedures = this.#peer.directory.get(number)?.procedures.size ?? 0
    const known = { procedures, topics: this.#listeners.topicsOf(number) }
    this.#announce({ ...readAnnouncement(frame, known), number })
  }

  #announce({ subscribe = [], unsubscribe = [], ...change }: Announcement): void {
    const { number } = change
    for (const topic of subscribe) {
      this.#listeners.add(topic, number)
      for (const frame of this.#retained.of(topic)) this.#links.get(number)?.forward(frame)
    }
    for (const topic of unsubscribe) this.#listeners.remove(topic, number)
    if (change.id === undefined && change.state === undefined && change.procedures === undefined)
      return
    this.#peer.directory.apply(change)
    for (const [other, link] of this.#links)
      if (other !== PRIMARY) send(link, headOf(FrameType.announce, other), encodeValue, change)
  }

  /**
   * Gives a publication to all who listen. For one that is awaited, this moment decides who is waited for: whoever is ready now
   * gets it, and whoever gets ready later does so after it.
   */
  #publish(from: number, frame: Frame): void {
    checkPublication(frame)
    const topic = topicOf(frame)
    if ((frame.flags & Flag.retain) !== 0 && !this.#keep(topic, from, frame)) return
    const listeners = this.#listeners.of(topic)
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

  /**
   * Keeps a retained value; what can't be kept is not sent either, or those who subscribe later would never learn of it. Whether it was
   * kept.
   *
   * @throws OverloadedError to the primary's own publisher. A worker gets it in its receipt, as what became of it at the primary
   */
  #keep(topic: string, from: number, frame: Frame): boolean {
    try {
      this.#retained.keep(topic, frame)
      return true
    } catch (error) {
      if (from === PRIMARY) throw error
      if ((frame.flags & Flag.acknowledge) === 0) this.#onError?.(error, topic)
      else this.#refuse(from, frame.id, error as OverloadedError)
      return false
    }
  }

  #refuse(publisher: number, id: number, error: OverloadedError): void {
    const link = this.#links.get(publisher)
    if (link === undefined) return
    const receivers: Receivers = { sent: [PRIMARY], deaf: [], lagging: [] }
    send(link, { ...headOf(FrameType.receivers, publisher), id }, encodeValue, receivers)
    const head = { ...headOf(FrameType.applied, publisher), id }
    send(link, head, encodeValue, describeError(error))
  }
}

function copyBody(out: ByteWriter, { bytes, body, end }: Frame): void {
  out.bytes(bytes, body, end)
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
