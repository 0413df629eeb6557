// The two queues in which frames wait to leave a link: stream data in one, everything else in the other, which always goes first.

import { Flag, type Frame, type FrameHead } from '../frames.js'
import type { ByteWriter } from './bytes.js'
import { FrameBuffer } from './framing.js'

/** Outgoing frames. A call or a cancellation never waits behind another exchange's stream. */
export class Lanes {
  readonly swift: FrameBuffer
  readonly bulk: FrameBuffer
  #current: FrameBuffer

  constructor(limit?: number) {
    this.swift = new FrameBuffer(limit)
    this.bulk = new FrameBuffer(limit)
    this.#current = this.swift
  }

  /** Bytes that wait. */
  get size(): number {
    return this.swift.size + this.bulk.size
  }

  begin(head: FrameHead): ByteWriter {
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
    this.#laneOf(frame).append(frame.bytes, frame.start, frame.end)
  }

  /** All that waits, frame by frame. */
  *frames(): Generator<Frame> {
    yield* this.swift.frames()
    yield* this.bulk.frames()
  }

  /** Nothing waits any more. */
  drop(): void {
    this.swift.take()
    this.bulk.take()
  }

  #laneOf({ flags }: FrameHead): FrameBuffer {
    return (flags & Flag.bulk) !== 0 ? this.bulk : this.swift
  }
}
