// Publications: values that go to every peer that listens, and the subscriptions that get them.

import { Audience, isDrop } from './audience.js'
import type { Named, Topic } from './contract.js'
import { send, sendBare } from './exchange.js'
import { describe, tellSafely } from './failure.js'
import { Flag, type Frame, FrameType } from './frames.js'
import type { CallOptions, Receipt, SubscribeOptions } from './infer.js'
import type { Peer } from './peer.js'
import { readPublication } from './publication.js'
import { Publisher } from './publisher.js'
import { infoOf } from './receipt.js'
import { type Subscriber, SubscriberQueue } from './subscription.js'
import { decodeValue, encodeValue } from './transports/codec.js'

/** Gets errors that no publisher waits for. */
export type OnError = (error: unknown, where: string) => void

/** A subscription as its maker holds it. */
export interface SubscriptionHandle {
  readonly queue: SubscriberQueue
  stop(): void
}

/** One peer's publications and subscriptions. */
export class Topics {
  readonly #peer: Peer
  readonly #publisher: Publisher
  readonly #audiences = new Map<string, Audience>()
  readonly #onError: OnError

  constructor(peer: Peer, onError: OnError) {
    this.#peer = peer
    this.#onError = onError
    this.#publisher = new Publisher(peer)
    peer.onPublication = (frame) => {
      // Whoever published it is of no concern to those who get it.
      if (frame.type === FrameType.publish) peer.scopes.run(undefined, () => this.#published(frame))
      else this.#publisher.receive(frame)
    }
    peer.onBrokenReceipt = (frame, error) => this.#publisher.broken(frame, error)
    peer.onClose(() => this.#publisher.close())
  }

  /** Broadcasts that have not settled. */
  get pending(): number {
    return this.#publisher.pending
  }

  /** Sends to everyone who listens, and waits for nobody. Throws what is wrong with the value. */
  publish(topic: Named<Topic>, value: unknown): void {
    this.#publisher.publish(topic, value)
  }

  /** Sends to everyone who listens; the receipt tells of each when the last has run its subscribers. */
  broadcast(topic: Named<Topic>, value: unknown, options: CallOptions): Promise<Receipt> {
    return this.#publisher.broadcast(topic, value, options)
  }

  /** Calls `subscriber` with each value from now on. `onDisconnect` is told when it was too slow for its policy. */
  subscribe(
    topic: Named<Topic>,
    subscriber: Subscriber,
    options: SubscribeOptions & { readonly onDisconnect?: (error: unknown) => void },
  ): SubscriptionHandle {
    this.#peer.assertOpen()
    const { name } = topic
    const queue = new SubscriberQueue({
      topic: name,
      subscriber,
      options,
      disconnect: (error) => {
        this.#leave(name, queue)
        if (options.onDisconnect) options.onDisconnect(error)
        else this.#onError(error, name)
      },
    })
    let audience = this.#audiences.get(name)
    if (audience === undefined) {
      audience = new Audience(topic)
      this.#audiences.set(name, audience)
      this.#peer.announce({ subscribe: [name] })
    }
    audience.add(queue, (running) => this.#report(running, name))
    return { queue, stop: () => this.#leave(name, queue) }
  }

  #leave(name: string, queue: SubscriberQueue): void {
    const audience = this.#audiences.get(name)
    if (audience?.delete(queue) !== true || audience.size > 0) return
    this.#audiences.delete(name)
    this.#peer.announce({ unsubscribe: [name] })
  }

  #published(frame: Frame): void {
    const { id, from, flags } = frame
    const { name, version, valueAt } = readPublication(frame)
    // Without one, the last subscriber left while this was on its way.
    const running = this.#audiences
      .get(name)
      ?.receive(decodeValue(frame.bytes, valueAt, frame.end), {
        from: infoOf(this.#peer.directory.get(from) ?? { number: from, id: '' }),
        version,
        retained: (flags & Flag.replay) !== 0,
      })
    if ((flags & Flag.acknowledge) === 0) this.#report(running, name)
    else if (running === undefined) this.#acknowledge(from, id, undefined)
    else
      running.then(
        () => this.#acknowledge(from, id, undefined),
        (error: unknown) => this.#acknowledge(from, id, { error }),
      )
  }

  /** What goes wrong without a publisher that waits. What was dropped is counted, which is enough. */
  #report(running: Promise<void> | undefined, name: string): void {
    running?.catch((error: unknown) => {
      if (!isDrop(error, name)) this.#onError(error, name)
    })
  }

  #acknowledge(to: number, id: number, failed: { readonly error: unknown } | undefined): void {
    const member = this.#peer.directory.get(to)
    if (member === undefined || this.#peer.closed) return
    const link = this.#peer.linkTo(member)
    const from = this.#peer.number
    const head = { type: FrameType.applied, flags: 0, ref: 0, to, from, id, arg: 0 }
    if (failed === undefined) return sendBare(link, head)
    tellSafely(describe(failed.error, this.#peer.stacks), (failure) =>
      send(link, head, encodeValue, failure),
    )
  }
}
