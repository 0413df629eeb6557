// The two queues in which frames wait to leave a link: stream data in one, everything else in the other, which always goes first.

import { Flag, type Frame, type FrameHead, FrameType } from '../frames.js'
import type { Sender } from '../transport.js'
import type { ByteWriter } from './bytes.js'
import { type Aside, FrameBuffer } from './framing.js'

/**
 * So much stream data waits at most, and a frame of each stream: what else there is waits where it comes from, where it costs nothing more. What lies
 * aside does not count, as its frames are small; where there is hardly any room left for more of it, streams wait, too.
 */
const CONGESTED_BYTES = 256 * 1024

/** With so little of it left, streams go on. */
const CLEAR_BYTES = 128 * 1024

/** Who waits until what there is has left. */
interface Departure {
  readonly tell: () => void
  /** What the lanes' `out` has to be by then. */
  readonly swift: number
  readonly bulk: number
}

/** Who waits for room, and what `out` of the data has to be by then at the latest: all that was there before has left. */
interface Turn {
  readonly sender: Sender
  readonly at: number
}

/** Outgoing frames. A call or a cancellation never waits behind another exchange's stream. */
export class Lanes {
  readonly swift: FrameBuffer
  readonly bulk: FrameBuffer
  readonly #aside: Aside | undefined
  #current: FrameBuffer
  /** Those who wait for room, in order. */
  readonly #turns: Turn[] = []
  #departures: Departure[] = []

  /**
   * @param limit bytes of the largest frame
   * @param aside where large pieces of streams may lie
   */
  constructor(limit?: number, aside?: Aside) {
    this.swift = new FrameBuffer(limit)
    this.bulk = new FrameBuffer(limit, aside)
    this.#aside = aside
    this.#current = this.swift
  }

  /** Bytes that wait. */
  get size(): number {
    return this.swift.size + this.bulk.size
  }

  get congested(): boolean {
    return this.bulk.size > CONGESTED_BYTES || this.#crowded
  }

  whenClear(sender: Sender): void {
    this.#turns.push({ sender, at: this.bulk.end })
  }

  /**
   * Tells when all that waits now has left, whatever comes behind it: streams may go on and on. `withData`: stream data, too; otherwise only
   * what overtakes it.
   */
  whenOut(tell: () => void, withData: boolean): void {
    const { bulk, swift } = this
    this.#departures.push({ tell, swift: swift.end, bulk: withData ? bulk.end : bulk.out })
  }

  /** Some frames have left: tells those who wait for that. */
  tellDepartures(): void {
    if (this.#departures.length === 0) return
    const { bulk, swift } = this
    const isOut = (one: Departure) => one.swift <= swift.out && one.bulk <= bulk.out
    const out = this.#departures.filter(isOut)
    if (out.length === 0) return
    this.#departures = this.#departures.filter((one) => !isOut(one))
    for (const { tell } of out) tell()
  }

  /**
   * Some frames have left, or there is room aside: lets those go on who wait for that, as long as there is room, and each when all has left that was
   * there before it: what is passed on for others waits for nobody, and may leave no room for ever. Those who have to wait again do so behind the others.
   */
  tellSenders(): void {
    const { bulk } = this
    const turns = this.#turns
    const hasRoom = turns.length > 0 && bulk.size <= CLEAR_BYTES
    for (let next = turns[0]; next !== undefined; next = turns[0]) {
      if (this.#crowded) return
      if (!(hasRoom && !this.congested) && bulk.out < next.at) return
      turns.shift()
      next.sender.cleared()
    }
  }

  begin(head: FrameHead): ByteWriter {
    this.#current.assertBetweenFrames()
    const lane = this.#laneOf(head)
    const out = lane.begin(head)
    this.#current = lane
    return out
  }

  commit(): void {
    this.#current.commit()
  }

  abandon(): void {
    this.#current.abandon()
  }

  forward(frame: Frame): void {
    const { bytes, start, body, end } = frame
    // The body of a large value may lie aside, too; who reads it need not know.
    if (frame.type !== FrameType.data) return this.#laneOf(frame).append(bytes, start, end)
    const out = this.begin(frame)
    try {
      out.whole(bytes, body, end)
    } catch (error) {
      this.abandon()
      throw error
    }
    this.commit()
  }

  /** All that waits, frame by frame. */
  *frames(): Generator<Frame> {
    yield* this.swift.frames()
    yield* this.bulk.frames()
  }

  /** Nothing waits any more. */
  drop(): void {
    this.#departures.length = 0
    this.swift.drop()
    this.bulk.drop()
  }

  get #crowded(): boolean {
    return this.#aside?.crowded === true
  }

  #laneOf({ flags }: FrameHead): FrameBuffer {
    return (flags & Flag.bulk) !== 0 ? this.bulk : this.swift
  }
}
