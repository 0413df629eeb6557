// A worker's way into the cluster: says hello, learns who is there, keeps its directory true, and gives its peer the frames meant for it.

import { IncompatibleError, PeerClosedError, ProtocolError } from '../errors.js'
import { send } from '../exchange.js'
import {
  type Announcement,
  type Failure,
  Flag,
  type Frame,
  FrameType,
  type Hello,
  headOf,
  PRIMARY,
  PROTOCOL_VERSION,
  type Welcome,
} from '../frames.js'
import { Peer, type PeerOptions } from '../peer.js'
import type { Link } from '../transport.js'
import { decodeValue, encodeValue } from '../transports/codec.js'

/** What a member brings along. */
export interface JoinOptions
  extends Pick<
    PeerOptions,
    'clock' | 'stacks' | 'callSites' | 'scopes' | 'scopesAreCheap' | 'channels' | 'maxQueuedBytes'
  > {
  readonly link: Link
  readonly hello: Hello
  /** The link ended; the peer is closed. Not told when joining fails. */
  readonly onLost: (reason: Error | undefined) => void
}

/**
 * Joins the cluster at the other end of a link.
 *
 * @throws IncompatibleError when the other side speaks another version, PeerClosedError when the link ends first
 */
export function joinOver({ link, hello, onLost, ...options }: JoinOptions): Promise<Peer> {
  return new Promise((resolve, reject) => {
    let peer: Peer | undefined
    /** It has heard of everybody. */
    let isWelcome = false
    link.start({
      frame(frame) {
        if (isWelcome) return receive(peer as Peer, link, frame)
        peer ??= peerFrom(frame, hello, { link, ...options })
        for (const member of readWelcome(frame).members) peer.directory.add(member)
        isWelcome = frame.arg === 0
        if (isWelcome) resolve(peer)
      },
      closed(reason, unsent) {
        if (peer === undefined || !isWelcome)
          return reject(reason ?? new PeerClosedError('The link ended before the primary answered'))
        peer.cutOff(reason?.message ?? 'the link to the primary ended', reason, unsent)
        onLost(reason)
      },
    })
    const head = headOf({ type: FrameType.hello, arg: PROTOCOL_VERSION })
    send(link, head, encodeValue, hello)
  })
}

function peerFrom(
  frame: Frame,
  hello: Hello,
  {
    link,
    ...options
  }: Pick<
    JoinOptions,
    | 'link'
    | 'clock'
    | 'stacks'
    | 'callSites'
    | 'scopes'
    | 'scopesAreCheap'
    | 'channels'
    | 'maxQueuedBytes'
  >,
): Peer {
  const { number } = readWelcome(frame)
  return new Peer({
    ...options,
    id: hello.id,
    number,
    linkTo: () => link,
    announce: (change) =>
      send(link, headOf({ type: FrameType.announce, from: number }), encodeValue, {
        ...change,
        number,
      }),
  })
}

function readWelcome(frame: Frame): Welcome {
  const body = decodeValue(frame.bytes, frame.body, frame.end)
  if (frame.type === FrameType.error)
    throw new IncompatibleError(
      `The primary does not take this worker in: ${(body as Failure).message}`,
    )
  if (frame.type !== FrameType.welcome)
    throw new IncompatibleError(`The primary answered hello with a frame of type ${frame.type}`)
  return body as Welcome
}

function receive(peer: Peer, link: Link, frame: Frame): void {
  switch (frame.type) {
    case FrameType.announce:
      peer.directory.apply(decodeValue(frame.bytes, frame.body, frame.end) as Announcement)
      break
    case FrameType.gone:
      gone(peer, link, frame)
      break
    case FrameType.hello:
    case FrameType.welcome:
      throw new ProtocolError(`The primary sent a second welcome`)
    default:
      receiveFromMember(peer, frame)
  }
}

/**
 * A member is gone. The first time that is said, what this peer has sent to it may still be on the way to the primary, which sends back what can't be
 * handed over any more: certainly not run. So it is said twice, the second time behind all of that.
 */
function gone(peer: Peer, link: Link, frame: Frame): void {
  const why = String(decodeValue(frame.bytes, frame.body, frame.end))
  if ((frame.flags & Flag.acknowledge) !== 0) return peer.gone(frame.arg, why)
  peer.departed(frame.arg)
  send(link, headOf({ type: FrameType.gone, from: peer.number, arg: frame.arg }), encodeValue, why)
}

/** The primary passes other workers' frames on unseen: what is wrong with one says nothing about the link. */
function receiveFromMember(peer: Peer, frame: Frame): void {
  try {
    peer.receive(frame)
  } catch (error) {
    if (frame.from === PRIMARY) throw error
    peer.violated(frame, error)
  }
}
