// A link that has no other side: what is committed is handled at once. The primary's publications take it, so that they keep their
// place among its other frames.

import type { Frame, FrameHead } from '../frames.js'
import type { Link } from '../transport.js'
import type { ByteWriter } from '../transports/bytes.js'
import { FrameBuffer } from '../transports/framing.js'

export class WayOut implements Link {
  readonly #frames = new FrameBuffer()
  readonly #handle: (frame: Frame) => void
  readonly queued = 0
  readonly congested = false

  constructor(handle: (frame: Frame) => void) {
    this.#handle = handle
  }

  begin(head: FrameHead): ByteWriter {
    return this.#frames.begin(head)
  }

  commit(): void {
    this.#frames.commit()
    try {
      for (const frame of this.#frames.frames()) this.#handle(frame)
    } finally {
      this.#frames.drop()
    }
  }

  abandon(): void {
    this.#frames.abandon()
  }

  forward(frame: Frame): void {
    this.#handle(frame)
  }

  flush(done?: () => void): void {
    done?.()
  }

  whenClear(): void {}
  start(): void {}
  async close(): Promise<void> {}
  destroy(): void {}
}
