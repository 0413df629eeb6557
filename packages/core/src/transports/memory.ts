// Two links that are each other's other side, inside one process. They behave as the two ends of a socketpair do: between them is room
// for so many bytes, and what does not fit waits at its sender.

import type { Frame, FrameHead } from '../frames.js'
import type { Link, LinkEvents, Sender } from '../transport.js'
import type { ByteWriter } from './bytes.js'
import { FrameReader } from './frame-reader.js'
import type { FrameBuffer } from './framing.js'
import { Lanes } from './lanes.js'

/** What a socketpair takes in before its other end has read anything. Measured on Linux with Node 20. */
const CAPACITY_BYTES = 213 * 1024

/** The way from one end to the other. */
export interface Wire {
  /** Whether this end can hand anything over now. When that changes to `true`, `flush` is to be called. */
  readonly open: boolean
  /** Runs something at the other end, in its time: never before what was carried earlier. */
  carry(run: () => void): void
}

/** Everything arrives at once. */
const DIRECT: Wire = { open: true, carry: (run) => run() }

/** How a pair is made. */
export interface LinkPairOptions {
  /** The largest frame, in bytes. Default 16 MiB */
  readonly limit?: number | undefined
  /** The ways from the first end to the second, and back. By default everything arrives at the end of the turn in which it was sent. */
  readonly wires?: readonly [there: Wire, back: Wire] | undefined
}

/** Creates a pair of links. Bytes pass through the same framing as over a socket. */
export function createLinkPair({
  limit,
  wires: [there, back] = [DIRECT, DIRECT],
}: LinkPairOptions = {}): readonly [MemoryLink, MemoryLink] {
  const one = new MemoryLink(there, limit)
  const other = new MemoryLink(back, limit)
  one.connect(other)
  other.connect(one)
  return [one, other]
}

/** One end of a pair. */
export class MemoryLink implements Link {
  readonly #wire: Wire
  readonly #lanes: Lanes
  readonly #reader: FrameReader
  readonly #flush = () => {
    this.#scheduled = false
    this.flush()
  }
  readonly #deliver = (frame: Frame) => {
    if (!this.#ended) this.#events?.frame(frame)
  }
  #other: MemoryLink | undefined
  #events: LinkEvents | undefined
  #scheduled = false
  /** Bytes that were handed over and have not been read. */
  #underWay = 0
  /** There is no room for the next frame, or the other side does not listen yet. */
  #blocked = false
  /** To be told when it has ended. */
  readonly #onEnd: (() => void)[] = []
  #closing = false
  #ended = false
  #reason: Error | undefined

  constructor(wire: Wire, limit?: number) {
    this.#wire = wire
    this.#lanes = new Lanes(limit)
    this.#reader = new FrameReader(limit)
  }

  connect(other: MemoryLink): void {
    this.#other = other
  }

  get queued(): number {
    return this.#blocked ? this.#lanes.size : 0
  }

  get congested(): boolean {
    return this.#lanes.congested
  }

  whenClear(sender: Sender): void {
    this.#lanes.whenClear(sender)
  }

  begin(head: FrameHead): ByteWriter {
    return this.#lanes.begin(head)
  }

  commit(): void {
    this.#lanes.commit()
    this.#schedule()
  }

  abandon(): void {
    this.#lanes.abandon()
  }

  forward(frame: Frame): void {
    this.#lanes.forward(frame)
    this.#schedule()
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#other?.flush()
    if (this.#ended) queueMicrotask(() => this.#tellClosed())
  }

  flush(done?: () => void, withData = false): void {
    if (this.#ended) return this.#drop()
    if (done !== undefined) this.#lanes.whenOut(done, withData)
    this.#blocked = !this.#handOver()
    this.#lanes.tellDepartures()
    this.#lanes.tellSenders()
    if (this.#closing && !this.#blocked) this.#end(undefined)
  }

  get listening(): boolean {
    return this.#events !== undefined
  }

  /** Takes bytes from the other side. */
  deliver(bytes: Buffer): void {
    if (this.#ended) return
    try {
      this.#reader.push(bytes, this.#deliver)
    } catch (error) {
      this.#end(this.#reader.blame(error))
    }
  }

  /** The other side has ended, and all that it handed over has been read. */
  otherEnded(): void {
    this.#end(this.#reader.truncation())
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return resolve()
      this.#onEnd.push(resolve)
      this.#closing = true
      this.flush()
    })
  }

  destroy(reason: Error): void {
    this.#end(reason)
  }

  /** Hands over what there is room for, small frames first. Whether that was everything. */
  #handOver(): boolean {
    const { swift, bulk } = this.#lanes
    while (this.#lanes.size > 0 && !this.#ended) {
      const lane = swift.size > 0 ? swift : bulk
      // What is made before the other side listens waits for it.
      if (!this.#wire.open || this.#other?.listening !== true || !this.#fits(lane)) return false
      this.#send(lane)
    }
    return true
  }

  /** A frame that is larger than all the room there is goes alone. */
  #fits({ firstSize }: FrameBuffer): boolean {
    return this.#underWay === 0 || this.#underWay + firstSize <= CAPACITY_BYTES
  }

  #send(lane: FrameBuffer): void {
    const bytes = Buffer.from(lane.next(CAPACITY_BYTES - this.#underWay))
    lane.release()
    this.#underWay += bytes.length
    this.#wire.carry(() => {
      this.#underWay -= bytes.length
      this.#other?.deliver(bytes)
      if (this.#blocked) this.flush()
    })
  }

  /** Ends this side at once; the other hears of it behind what was handed over to it. */
  #end(reason: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#reason = reason
    if (this.#events !== undefined) this.#tellClosed()
    for (const tell of this.#onEnd.splice(0)) tell()
    queueMicrotask(() => this.#wire.carry(() => this.#other?.otherEnded()))
  }

  #tellClosed(): void {
    this.#events?.closed(this.#reason, this.#lanes.frames())
    this.#drop()
  }

  /** Not before `closed` has told of it. */
  #drop(): void {
    if (this.#events !== undefined) this.#lanes.drop()
  }

  #schedule(): void {
    if (this.#scheduled || this.#blocked) return
    this.#scheduled = true
    queueMicrotask(this.#flush)
  }
}
