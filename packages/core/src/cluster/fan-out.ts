// The router's part in publications: who listens to what, the values that are kept, and one publication to many links.

import type { Directory } from '../directory.js'
import type { OverloadedError } from '../errors.js'
import { send } from '../exchange.js'
import { describeError } from '../failure.js'
import { Flag, type Frame, FrameType, headOf, PRIMARY, type Receivers } from '../frames.js'
import { checkPublication, topicOf } from '../publication.js'
import type { Link } from '../transport.js'
import { encodeValue } from '../transports/codec.js'
import { Listeners } from './listeners.js'
import { type RetainedLimits, RetainedValues } from './retained.js'

/** What it needs of its router. */
export interface FanOutParts {
  readonly directory: Directory
  linkTo(number: number): Link | undefined
  /** Sends a frame on as it is. */
  forward(number: number, frame: Frame): void
  /** Gets what is wrong with a worker's publication that nobody waits for. */
  readonly onError: ((error: unknown, where: string) => void) | undefined
  /** How much is kept of retained topics. */
  readonly retained: RetainedLimits | undefined
}

/** Bytes that may wait for a member before publications to it are dropped. */
const MAX_BACKLOG = 16 * 1024 * 1024

/** Gives publications to those who listen. */
export class FanOut {
  readonly #parts: FanOutParts
  readonly #listeners = new Listeners()
  readonly #retained: RetainedValues
  /** By member: the retained topics whose last value it has not been sent, since so much waited for it. */
  readonly #owed = new Map<number, Set<string>>()

  constructor(parts: FanOutParts) {
    this.#parts = parts
    this.#retained = new RetainedValues(parts.retained)
  }

  /** The topics that a member listens to. */
  topicsOf(number: number): ReadonlySet<string> {
    return this.#listeners.topicsOf(number)
  }

  /** A member listens from now on; what is kept for it is sent at once. */
  subscribe(topic: string, number: number): void {
    this.#listeners.add(topic, number)
    this.#sendKept(topic, number)
  }

  unsubscribe(topic: string, number: number): void {
    this.#listeners.remove(topic, number)
  }

  /** A member is gone. */
  forget(number: number): void {
    this.#listeners.forget(number)
    this.#owed.delete(number)
  }

  /**
   * Gives a publication to all who listen. For one that is awaited, this moment decides who is waited for: whoever is ready now
   * gets it, and whoever gets ready later does so after it. Who lags behind does not get it; or, of a retained topic, later.
   */
  publish(from: number, frame: Frame): void {
    checkPublication(frame)
    const topic = topicOf(frame)
    const isKept = (frame.flags & Flag.retain) !== 0
    if (isKept && !this.#keep(topic, from, frame)) return
    const listeners = this.#listeners.of(topic)
    const lagging = [...listeners].filter((number) => this.#lags(number))
    if ((frame.flags & Flag.acknowledge) !== 0)
      this.#tellReceivers(from, frame.id, { listeners, lagging })
    for (const number of listeners) {
      if (!lagging.includes(number)) this.#parts.forward(number, frame)
      if (isKept) this.#note(topic, number, lagging.includes(number))
    }
  }

  /** Notes whether a member has yet to get a topic's last value. That it gets when all has left that waits for it now. */
  #note(topic: string, number: number, isOwed: boolean): void {
    const owed = this.#owed.get(number)
    if (!isOwed) owed?.delete(topic)
    else if (owed !== undefined) owed.add(topic)
    else {
      this.#owed.set(number, new Set([topic]))
      this.#payLater(number)
    }
  }

  /** With all data, or it might find the member lagging behind still, and nothing that is yet to leave. */
  #payLater(number: number): void {
    this.#parts.linkTo(number)?.flush(() => this.#pay(number), true)
  }

  /** Sends a member the last values that it has missed, as far as that does not make it lag behind again. */
  #pay(number: number): void {
    for (const topic of this.#owed.get(number) ?? []) {
      if (this.#lags(number)) return this.#payLater(number)
      this.#owed.get(number)?.delete(topic)
      if (!this.#listeners.of(topic).has(number)) continue
      this.#sendKept(topic, number)
      // What does not leave waits from then on, and counts.
      this.#parts.linkTo(number)?.flush()
    }
    this.#owed.delete(number)
  }

  #sendKept(topic: string, number: number): void {
    for (const frame of this.#retained.of(topic)) this.#parts.forward(number, frame)
  }

  /** Whether so much waits for a member already that publications would pile up without bound. */
  #lags(number: number): boolean {
    return (this.#parts.linkTo(number)?.queued ?? 0) > MAX_BACKLOG
  }

  #tellReceivers(
    publisher: number,
    id: number,
    { listeners, lagging }: { listeners: ReadonlySet<number>; lagging: readonly number[] },
  ): void {
    const link = this.#parts.linkTo(publisher)
    if (link === undefined) return
    // One that is still booting gets the publication too, but may take long to answer.
    const settled = this.#parts.directory
      .all()
      .filter(({ state }) => state !== 'joined')
      .map(({ number }) => number)
    const listening = settled.filter((number) => listeners.has(number))
    const receivers: Receivers = {
      sent: listening.filter((number) => !lagging.includes(number)),
      deaf: settled.filter((number) => number !== PRIMARY && !listeners.has(number)),
      lagging: listening.filter((number) => lagging.includes(number)),
    }
    send(link, headOf({ type: FrameType.receivers, to: publisher, id }), encodeValue, receivers)
  }

  /**
   * Keeps a retained value; what can't be kept is not sent either, or those who subscribe later would never learn of it. Whether it was
   * kept.
   *
   * @throws OverloadedError to the primary's own publisher. A worker gets it in its receipt, as what became of it at the primary
   */
  #keep(topic: string, from: number, frame: Frame): boolean {
    try {
      this.#retained.keep(topic, frame)
      return true
    } catch (error) {
      if (from === PRIMARY) throw error
      if ((frame.flags & Flag.acknowledge) === 0) this.#parts.onError?.(error, topic)
      else this.#refuse(from, frame.id, error as OverloadedError)
      return false
    }
  }

  #refuse(publisher: number, id: number, error: OverloadedError): void {
    const link = this.#parts.linkTo(publisher)
    if (link === undefined) return
    const receivers: Receivers = { sent: [PRIMARY], deaf: [], lagging: [] }
    send(link, headOf({ type: FrameType.receivers, to: publisher, id }), encodeValue, receivers)
    const head = headOf({ type: FrameType.applied, to: publisher, id })
    send(link, head, encodeValue, describeError(error))
  }
}
