// One exchange between two peers, in bytes: what both of its ends have in common. outgoing.ts and incoming.ts are the two.

import type { Member } from './directory.js'
import { Flag, type Frame, type FrameHead, FrameType, HEADER_BYTES } from './frames.js'
import type { Moment } from './moment.js'
import { ReceiveWindow, SendWindow } from './streams.js'
import type { Clock, Link, Sender } from './transport.js'
import type { ByteWriter } from './transports/bytes.js'

/** Writes a value's bytes behind what `out` holds. What it throws takes the whole frame back. */
export type Encode<T> = (out: ByteWriter, value: T) => void

/** Decides between beginning a request and its being taken back. */
export interface Turnstile {
  /** Begins a request; `false` when it was taken back, and must not be run. */
  enter(id: number): boolean
}

/** What the two ends need of the peer that they belong to. */
export interface Exchanger {
  readonly number: number
  readonly clock: Clock
  now(): number
  /** When what runs now began to: when what it handles came in. */
  readonly moment: Moment
  linkTo(member: Member): Link
  /** Handlers that go on although nobody waits for them any more. */
  abandoned: number
  /** An exchange that this peer served is over. */
  answered(): void
  /** What the primary may take back of what it has asked; `undefined` where it can't. */
  readonly turnstile: Turnstile | undefined
}

/** Appends one frame whose body `encode` writes. */
export function send<T>(link: Link, head: FrameHead, encode: Encode<T>, value: T): void {
  const out = link.begin(head)
  try {
    encode(out, value)
  } catch (error) {
    link.abandon()
    throw error
  }
  link.commit()
}

/** A part of somebody's bytes. */
interface Part {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

function encodeWhole(out: ByteWriter, { bytes, start, end }: Part): void {
  out.whole(bytes, start, end)
}

/** Appends one frame that has no body. */
export function sendBare(link: Link, head: FrameHead): void {
  link.begin(head)
  link.commit()
}

/** What both ends have in common: data out under credit, and credit back for data in. */
export abstract class Exchange implements Sender {
  readonly member: Member
  readonly id: number
  protected readonly peer: Exchanger
  /** Bits that every data and credit frame of this end carries. */
  readonly #direction: number
  #over = false
  // Most exchanges carry no data frames and never need these.
  #outgoing: SendWindow | undefined
  #incoming: ReceiveWindow | undefined
  /** It has sent while the link was congested, and waits for its turn. */
  #held = false

  protected constructor(peer: Exchanger, member: Member, id: number, direction: number) {
    this.peer = peer
    this.member = member
    this.id = id
    this.#direction = direction
  }

  /** Whether it has ended: nothing that is still written goes out. */
  get over(): boolean {
    return this.#over
  }

  /** Whether `write` may be called now. */
  get writable(): boolean {
    return !this.#over && !this.#held && (this.#outgoing?.open ?? true)
  }

  /**
   * Sends one data frame. To be called while `writable`; bytes are to be sent by `writeBytes`.
   * Returns whether more may follow at once; else `drain` tells when.
   *
   * @param flags bits that the frame has besides. Default none
   */
  write<T>(encode: Encode<T>, value: T, flags = 0): boolean {
    if (this.#over) return false
    const link = this.peer.linkTo(this.member)
    const out = link.begin(this.head(FrameType.data, this.#direction | Flag.bulk | flags))
    const start = out.position
    try {
      encode(out, value)
    } catch (error) {
      link.abandon()
      throw error
    }
    const size = out.position - start
    link.commit()
    return this.#spend(size, link)
  }

  /**
   * As `write`, with bytes that are sent as they are (`Flag.raw`): a part of `bytes`, `PIECE_BYTES` at most. Large ones are not copied into the
   * link's buffer where both sides share memory.
   */
  writeBytes(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    if (this.#over) return false
    const link = this.peer.linkTo(this.member)
    const head = this.head(FrameType.data, this.#direction | Flag.bulk | Flag.raw)
    send(link, head, encodeWhole, { bytes, start, end })
    return this.#spend(end - start, link)
  }

  cleared(): void {
    this.#held = false
    if (this.writable) this.drained()
  }

  /** A data frame with so large a body has been sent. */
  #spend(size: number, link: Link): boolean {
    this.#outgoing ??= new SendWindow()
    // The header counts, or a flood of empty values would be free.
    this.#outgoing.spend(HEADER_BYTES + size)
    if (link.congested && !this.#held) {
      this.#held = true
      link.whenClear(this)
    }
    return this.writable
  }

  /** Gives back the room that a data frame took, when its user is done with it. `bytes`: what `dataBytes` said of the frame. */
  consumed(bytes: number): void {
    const credit = this.#incoming?.consume(bytes) ?? 0
    if (credit > 0 && !this.#over)
      sendBare(this.peer.linkTo(this.member), this.head(FrameType.credit, this.#direction, credit))
  }

  /** Whether the sender had credit for the data frame that came in. */
  admit(frame: Frame): boolean {
    this.#incoming ??= new ReceiveWindow()
    return this.#incoming.receive(dataBytes(frame))
  }

  /** The other side gave credit back. */
  credit(bytes: number): void {
    this.#outgoing?.grant(bytes)
    if (this.writable) this.drained()
  }

  /** `writable` is true again. */
  protected abstract drained(): void

  protected get hasWritten(): boolean {
    return this.#outgoing !== undefined
  }

  protected close(): void {
    this.#over = true
  }

  protected head(type: number, flags: number, arg = 0): FrameHead {
    const { id, member, peer } = this
    return { type, flags, ref: 0, to: member.number, from: peer.number, id, arg }
  }
}

/** The bytes of credit that a data frame costs. */
export function dataBytes(frame: Frame): number {
  return frame.end - frame.start
}
