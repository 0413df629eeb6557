// What a transport must offer: ordered, loss-free frames to one adjacent peer until the link ends; and the clock that goes with it.

import type { Frame, FrameHead } from './frames.js'
import type { ByteWriter } from './transports/bytes.js'

/** A way to one adjacent peer. Frames begun and committed in one turn of the event loop leave together. */
export interface Link {
  /**
   * Begins a frame and returns where its body is to be written; writing throws FrameTooLargeError as soon as it is over the limit. One frame at a time: it must be committed or abandoned before the
   * next begins. After the link has closed, frames are taken and dropped: the end of a link is told by `LinkEvents.closed` alone.
   */
  begin(head: FrameHead): ByteWriter
  /**
   * Completes the frame.
   *
   * @throws FrameTooLargeError when it is over the limit; the frame is then taken back and the link goes on
   */
  commit(): void
  /** Takes the frame back. */
  abandon(): void
  /** Sends on a frame that came in, under another destination's eyes: its bytes are copied as they are. */
  forward(frame: Frame): void
  /**
   * Hands everything over now instead of at the end of the turn.
   *
   * @param done called when all of it is out of this process, except stream data, which it overtakes: at once where that is possible, never
   *   when the link ends first
   * @param withData whether it is to be called when the stream data is out, too, that waits now. Default `false`
   */
  flush(done?: () => void, withData?: boolean): void
  /** Bytes that wait here because the other side does not read fast enough. */
  readonly queued: number
  /** Whether more stream data waits here than the next writes will take: who makes more of it should wait for that. */
  readonly congested: boolean
  /**
   * Calls `sender.cleared()` when the link is not congested any more, or when all stream data has left that waits now; in the order in which they
   * came; never when the link ends first.
   */
  whenClear(sender: Sender): void
  /** Starts delivery. Nothing is delivered before. */
  start(events: LinkEvents): void
  /** Hands over what waits, then ends the link; resolves when both are done. */
  close(): Promise<void>
  /** Ends the link now. */
  destroy(reason: Error): void
}

/** Who has stream data for a link that is congested. */
export interface Sender {
  cleared(): void
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** A frame came in. What it throws ends the link. */
  frame(frame: Frame): void
  /**
   * The link ended, after the last frame was delivered: the other side closed it, or died (`reason` is then undefined, or a ProtocolError
   * that says "truncated" when it ended in the middle of a frame), or it was destroyed. `unsent` yields the frames that were certainly never handed over. Told once.
   */
  closed(reason: Error | undefined, unsent: Iterable<Frame>): void
}

/** Time, as everything in the core sees it. */
export interface Clock {
  /** Milliseconds that only ever grow, from an arbitrary origin. */
  now(): number
  /** Calls `run` in `ms` milliseconds; the function returned takes that back. A waiting timer keeps no process alive. */
  after(ms: number, run: () => void): () => void
}
