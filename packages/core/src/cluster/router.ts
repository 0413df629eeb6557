// The primary's switchboard: every link of the cluster ends here. It knows who is there, and passes frames on without looking into their
// bodies.

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
  FrameType,
  type Hello,
  headOf,
  type MemberState,
  PRIMARY,
  type Welcome,
} from '../frames.js'
import type { Peer } from '../peer.js'
import type { Link } from '../transport.js'
import type { ByteWriter } from '../transports/bytes.js'
import { encodeValue } from '../transports/codec.js'
import { asProtocolError } from '../transports/frame-reader.js'
import { createLinkPair } from '../transports/memory.js'
import { readAnnouncement, readHello, textOf } from './claims.js'
import { FanOut } from './fan-out.js'
import type { RetainedLimits } from './retained.js'
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

/** Bytes that may wait for a member at all. */
const MAX_BACKLOG = 256 * 1024 * 1024

/** The switchboard. */
export class Router {
  readonly #peer: Peer
  readonly #links = new Map<number, Link>()
  /** How many characters each member's procedures have in their names. */
  readonly #announcedText = new Map<number, number>()
  readonly #fanOut: FanOut
  /** The primary's own peer on its way to itself, and to everyone. */
  readonly #toSelf: Link
  readonly #toEveryone: Link

  /** @param peer makes the primary's own peer, given its way to the others; it is the first member */
  constructor(
    peer: (linkTo: (number: number) => Link | undefined, announce: Peer['announce']) => Peer,
    { onError, retained }: RouterOptions = {},
  ) {
    const [near, far] = createLinkPair()
    this.#toSelf = near
    this.#links.set(PRIMARY, far)
    this.#toEveryone = new WayOut((frame) => this.#fanOut.publish(PRIMARY, frame))
    this.#peer = peer(
      (number) => this.#linkFromPrimary(number),
      (change) => this.#announce({ ...change, number: PRIMARY }),
    )
    this.#peer.directory.add({ number: PRIMARY, id: this.#peer.id, state: 'ready', procedures: [] })
    this.#fanOut = new FanOut({
      directory: this.#peer.directory,
      linkTo: (number) => this.#links.get(number),
      forward: (number, frame) => this.#forward(number, frame),
      onError,
      retained,
    })
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
          send(
            link,
            headOf({ type: FrameType.error, to: number }),
            encodeValue,
            describeError(hello),
          )
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
    // In several frames: what all of them serve may be more than one can hold.
    const members = directory.all()
    for (const [at, member] of members.entries()) {
      const welcome: Welcome = { number, members: [member.describe()] }
      const head = headOf({ type: FrameType.welcome, to: number, arg: members.length - at - 1 })
      send(link, head, encodeValue, welcome)
    }
  }

  #leave(number: number, why: string, unsent: Iterable<Frame>): void {
    this.#links.delete(number)
    this.#fanOut.forget(number)
    this.#announcedText.delete(number)
    // First: what is sent back here looks for another member at once, and must not find this one.
    this.#peer.departed(number)
    for (const frame of unsent) this.#returnToSender(frame, lost(number))
    this.#peer.gone(number, why)
    // Behind the data that it had sent and that waits here, or a stream that it had completed would look cut.
    for (const [other, link] of this.#links)
      if (other !== PRIMARY)
        send(
          link,
          headOf({ type: FrameType.gone, to: other, flags: Flag.bulk, arg: number }),
          encodeValue,
          why,
        )
  }

  #receive(from: number, frame: Frame): void {
    if (frame.from !== from)
      throw new ProtocolError(`Worker ${from} sent a frame in the name of peer ${frame.from}`)
    if (frame.type === FrameType.announce) this.#announced(from, frame)
    else if (frame.type === FrameType.gone) this.#heard(from, frame)
    else if (frame.type === FrameType.publish) this.#fanOut.publish(from, frame)
    else if (!isForMembers(frame.type))
      throw new ProtocolError(`Worker ${from} sent a frame of type ${frame.type}`)
    else this.#passOn(frame)
  }

  /** A member has heard that another is gone. All that it had sent to that one has been seen here by now: it may count what is left as lost. */
  #heard(from: number, frame: Frame): void {
    const { arg: number } = frame
    if (this.#links.has(number))
      throw new ProtocolError(`Worker ${from} says that member ${number} is gone, which lives`)
    const link = this.#links.get(from)
    const head = headOf({ type: FrameType.gone, to: from, flags: Flag.acknowledge, arg: number })
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
    else this.#forward(frame.to, frame)
  }

  /** Whoever reads nothing at all while more and more comes for it is ended before it costs the primary its memory. */
  #forward(number: number, frame: Frame): void {
    const link = this.#links.get(number)
    if (link === undefined) return
    if (link.queued <= MAX_BACKLOG) return link.forward(frame)
    link.destroy(new OverloadedError(`${link.queued} bytes wait for it, and it does not read`))
  }

  /** A request that can't be handed over any more is answered in its addressee's name: it has not run. */
  #returnToSender(frame: Frame, error: ClusterwireError): void {
    if (frame.type !== FrameType.open) return
    if (frame.from === PRIMARY) return this.#peer.returned(frame)
    const link = this.#links.get(frame.from)
    if (link === undefined) return
    const head = headOf({ type: FrameType.error, to: frame.from, from: frame.to, id: frame.id })
    send(link, head, encodeValue, describeError(error))
  }

  #announced(number: number, frame: Frame): void {
    const procedures = this.#peer.directory.get(number)?.procedures.size ?? 0
    const text = this.#announcedText.get(number) ?? 0
    const known = { procedures, text, topics: this.#fanOut.topicsOf(number) }
    const change = readAnnouncement(frame, known)
    this.#announcedText.set(number, text + textOf(change.procedures))
    this.#announce({ ...change, number })
  }

  #announce({ subscribe = [], unsubscribe = [], ...change }: Announcement): void {
    const { number } = change
    for (const topic of subscribe) this.#fanOut.subscribe(topic, number)
    for (const topic of unsubscribe) this.#fanOut.unsubscribe(topic, number)
    if (change.id === undefined && change.state === undefined && change.procedures === undefined)
      return
    this.#peer.directory.apply(change)
    for (const [other, link] of this.#links)
      if (other !== PRIMARY)
        send(link, headOf({ type: FrameType.announce, to: other }), encodeValue, change)
  }
}

/** Whether a worker may send frames of this type to another member. */
function isForMembers(type: number): boolean {
  return type >= FrameType.open && type !== FrameType.receivers && type !== FrameType.room
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
