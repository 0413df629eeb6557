// Two links that are each other's other side, inside one process.

import type { Frame, FrameHead } from '../frames.js'
import type { Link, LinkEvents } from '../transport.js'
import type { ByteWriter } from './bytes.js'
import { asProtocolError, FrameReader } from './framing.js'
import { Lanes } from './lanes.js'

/** Runs something soon, and never at once. */
export type Schedule = (run: () => void) => void

/**
 * Creates a pair of links. Bytes pass through the same framing as over a socket.
 *
 * @param schedule when bytes are delivered. Default `queueMicrotask`
 * @param limit the largest frame, in bytes. Default 16 MiB
 */
export function createLinkPair(
  schedule: Schedule = queueMicrotask,
  limit?: number,
): readonly [MemoryLink, MemoryLink] {
  const one = new MemoryLink(schedule, limit)
  const other = new MemoryLink(schedule, limit)
  one.connect(other)
  other.connect(one)
  return [one, other]
}

/** One end of a pair. */
export class MemoryLink implements Link {
  readonly #schedule: Schedule
  readonly #lanes: Lanes
  readonly #reader: FrameReader
  #other: MemoryLink | undefined
  #events: LinkEvents | undefined
  #scheduled = false
  #ended = false
  #reason: Error | undefined
  readonly queued = 0

  constructor(schedule: Schedule, limit?: number) {
    this.#schedule = schedule
    this.#lanes = new Lanes(limit)
    this.#reader = new FrameReader(limit)
  }

  connect(other: MemoryLink): void {
    this.#other = other
  }

  begin(head: FrameHead): ByteWriter {
    return this.#lanes.begin(head)
  }

  commit(): void {
    this.#lanes.commit()
    this.#scheduleFlush()
  }

  abandon(): void {
    this.#lanes.abandon()
  }

  forward(frame: Frame): void {
    this.#lanes.forward(frame)
    this.#scheduleFlush()
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#other?.flush()
    if (this.#ended) this.#schedule(() => events.closed(this.#reason, this.#lanes.frames()))
  }

  flush(done?: () => void): void {
    this.#scheduled = false
    // What is made before the other side listens waits for it.
    if (this.#other?.listening === true)
      for (const lane of [this.#lanes.swift, this.#lanes.bulk]) {
        const bytes = Buffer.from(lane.take())
        if (bytes.length > 0 && !this.#ended) this.#other.deliver(bytes)
      }
    done?.()
  }

  get listening(): boolean {
    return this.#events !== undefined
  }

  /** Takes bytes from the other side. */
  deliver(bytes: Buffer): void {
    try {
      this.#reader.push(bytes, (frame) => {
        if (!this.#ended) this.#events?.frame(frame)
      })
    } catch (error) {
      this.destroy(asProtocolError(error))
    }
  }

  async close(): Promise<void> {
    this.flush()
    this.end(undefined)
  }

  destroy(reason: Error): void {
    this.end(reason)
  }

  /** Ends both sides: this one at once, the other soon, as news travels. */
  end(reason: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#reason = reason
    this.#events?.closed(reason, this.#lanes.frames())
    this.#schedule(() => this.#other?.end(undefined))
  }

  #scheduleFlush(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => this.flush())
  }
}
