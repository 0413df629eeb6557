// The last value of each retained topic, kept by the router for those who subscribe later.

import { OverloadedError } from '../errors.js'
import { Flag, type Frame } from '../frames.js'
import { stampVersion } from '../publication.js'
import { framesIn } from '../transports/frame-reader.js'
import { FLAGS_AT } from '../transports/framing.js'

/** How much is kept. */
export interface RetainedLimits {
  /** Topics. Default 65 536 */
  readonly topics?: number
  /** Bytes of all values together. Default 256 MiB */
  readonly bytes?: number
}

const MAX_TOPICS = 65_536
const MAX_BYTES = 256 * 1024 * 1024

/** The values that are kept. They stay when their publisher is gone. */
export class RetainedValues {
  readonly #values = new Map<string, { readonly version: number; readonly bytes: Buffer }>()
  readonly #maxTopics: number
  readonly #maxBytes: number
  #bytes = 0

  constructor({ topics = MAX_TOPICS, bytes = MAX_BYTES }: RetainedLimits = {}) {
    this.#maxTopics = topics
    this.#maxBytes = bytes
  }

  /**
   * Keeps a publication, as the publisher's own bytes, in place of the one before it; writes its version into the frame.
   *
   * @throws OverloadedError when that would be more topics or bytes than are kept; the value before it then stays
   */
  keep(topic: string, frame: Frame): void {
    const before = this.#values.get(topic)
    const total = this.#bytes - (before?.bytes.length ?? 0) + frame.end - frame.start
    if (before === undefined && this.#values.size >= this.#maxTopics)
      throw refusal(topic, `${this.#maxTopics} topics have retained values, and no more may`)
    if (total > this.#maxBytes)
      throw refusal(topic, `all retained values together may take ${this.#maxBytes} bytes`)
    const version = (before?.version ?? 0) + 1
    stampVersion(frame, version)
    const bytes = Buffer.from(frame.bytes.subarray(frame.start, frame.end))
    // Whoever gets it later has nobody to acknowledge it to.
    bytes[FLAGS_AT] = (frame.flags | Flag.replay) & ~Flag.acknowledge
    this.#values.set(topic, { version, bytes })
    this.#bytes = total
  }

  /** The frame that brings a topic's value to one who has just subscribed, if there is one. */
  *of(topic: string): Generator<Frame> {
    const kept = this.#values.get(topic)
    if (kept !== undefined) yield* framesIn(kept.bytes)
  }
}

function refusal(topic: string, why: string): OverloadedError {
  return new OverloadedError(`${topic}: its value is not kept, and was not sent: ${why}`, {
    procedure: topic,
  })
}
