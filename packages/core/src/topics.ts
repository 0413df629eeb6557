// Publications: values that go to every peer that listens, and the subscriptions that get them.

import { onAbort } from './abort.js'
import { Broadcast } from './broadcast.js'
import type { Named, Topic } from './contract.js'
import { DEFAULT_TIMEOUT, isTimeout, MAX_TIMEOUT } from './contract.js'
import {
  CancelledError,
  InvalidContractError,
  InvalidOptionError,
  OverloadedError,
  PeerClosedError,
} from './errors.js'
import { send, sendBare } from './exchange.js'
import { describe, nameProcedure, reviveFailure, withoutDetails } from './failure.js'
import { EVERYONE, Flag, type Frame, FrameType, type Receivers } from './frames.js'
import type { CallOptions, Delivery, Receipt, SubscribeOptions } from './infer.js'
import type { Peer } from './peer.js'
import { PendingTable } from './pending.js'
import { encodePublication, readPublication } from './publication.js'
import { infoOf } from './receipt.js'
import { type Subscriber, SubscriberQueue } from './subscription.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { refuseRequest, validate } from './validate.js'

/** Bytes that may wait on the way out before a publication is refused. */
const MAX_BACKLOG = 64 * 1024 * 1024

/** Gets errors that no publisher waits for. */
export type OnError = (error: unknown, where: string) => void

/** The subscribers of one topic here. */
interface Audience {
  readonly topic: Named<Topic>
  readonly queues: Set<SubscriberQueue>
  /** The last value of a retained topic, for those who subscribe later. */
  last: Retained | undefined
}

interface Retained {
  readonly value: unknown
  readonly delivery: Delivery
}

/** A subscription as its maker holds it. */
export interface SubscriptionHandle {
  readonly queue: SubscriberQueue
  stop(): void
}

/** One peer's publications and subscriptions. */
export class Topics {
  readonly #peer: Peer
  readonly #audiences = new Map<string, Audience>()
  /** Broadcasts from here that some member has not answered. */
  readonly #broadcasts: PendingTable<Broadcast>
  readonly #onError: OnError

  constructor(peer: Peer, onError: OnError) {
    this.#peer = peer
    this.#onError = onError
    this.#broadcasts = new PendingTable(peer.clock)
    peer.onPublication = (frame) => this.#receive(frame)
    peer.directory.onChange((gone) => {
      if (gone === undefined) return
      for (const broadcast of this.#broadcasts.select(() => true)) broadcast.gone(gone)
    })
    peer.onClose(() => this.#close())
  }

  /** Broadcasts that have not settled. */
  get pending(): number {
    return this.#broadcasts.size
  }

  /** Sends to everyone who listens, and waits for nobody. Throws what is wrong with the value. */
  publish(topic: Named<Topic>, value: unknown): void {
    this.#peer.assertOpen()
    const valid = validate(topic.schema, value, refuseRequest(topic.name, 'value'))
    if (valid instanceof Promise) {
      valid.catch(() => undefined) // It is refused below, whatever it says.
      throw new InvalidContractError(
        `${topic.name}: its schema is asynchronous, so publish() can't tell you what it says; use broadcast()`,
      )
    }
    this.#send(topic, value, 0)
  }

  /** Sends to everyone who listens; the receipt tells of each when the last has run its subscribers. */
  async broadcast(
    topic: Named<Topic>,
    value: unknown,
    { timeout = DEFAULT_TIMEOUT, signal }: CallOptions,
  ): Promise<Receipt> {
    if (!isTimeout(timeout))
      throw new InvalidOptionError(
        `${topic.name}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
      )
    this.#peer.assertOpen()
    const deadline = this.#peer.now() + timeout
    await validate(topic.schema, value, refuseRequest(topic.name, 'value'))
    let forgetSignal: (() => void) | undefined
    try {
      return await new Promise<Receipt>((resolve, reject) => {
        const parts = { topic: topic.name, deadline, resolve, reject }
        const broadcast = new Broadcast(this.#broadcasts, parts)
        const abort = () => broadcast.fail(givenUp(topic, signal))
        if (signal?.aborted) return abort()
        this.#send(topic, value, broadcast.id)
        this.#broadcasts.add(broadcast)
        forgetSignal = signal && onAbort(signal, abort)
      })
    } finally {
      forgetSignal?.()
    }
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
      audience = { topic, queues: new Set(), last: undefined }
      this.#audiences.set(name, audience)
      this.#peer.announce({ subscribe: [name] })
    }
    audience.queues.add(queue)
    const { last } = audience
    if (last !== undefined) queueMicrotask(() => this.#replay(name, queue, last))
    return { queue, stop: () => this.#leave(name, queue) }
  }

  /** Hands over the value that was kept, now that the subscriber's maker holds the subscription; unless a newer one came first. */
  #replay(name: string, queue: SubscriberQueue, last: Retained): void {
    const audience = this.#audiences.get(name)
    if (audience?.last === last && audience.queues.has(queue))
      this.#report(this.#runOne(queue, last.value, { ...last.delivery, retained: true }), name)
  }

  #leave(name: string, queue: SubscriberQueue): void {
    const audience = this.#audiences.get(name)
    if (audience?.queues.delete(queue) !== true) return
    queue.close()
    if (audience.queues.size > 0) return
    this.#audiences.delete(name)
    this.#peer.announce({ unsubscribe: [name] })
  }

  /** @param id of the broadcast; 0 when nobody waits */
  #send(topic: Named<Topic>, value: unknown, id: number): void {
    const flags = (id === 0 ? 0 : Flag.acknowledge) | (topic.retain ? Flag.retain : 0)
    const arg = topic.name.length
    const from = this.#peer.number
    const head = { type: FrameType.publish, flags, ref: 0, to: EVERYONE, from, id, arg }
    try {
      const link = this.#peer.linkToEveryone()
      if (link.queued > MAX_BACKLOG)
        throw new OverloadedError(
          `${topic.name}: ${link.queued} bytes wait already, since the primary does not read fast enough; try again later`,
          { procedure: topic.name },
        )
      send(link, head, encodePublication, { topic, value })
      const channel = this.#peer.channels?.publish
      if (channel?.hasSubscribers)
        channel.publish({ topic: topic.name, peer: from, awaited: id !== 0 })
    } catch (error) {
      throw nameProcedure(topic.name, error)
    }
  }

  #receive(frame: Frame): void {
    if (frame.type === FrameType.publish) return this.#published(frame)
    const broadcast = this.#broadcasts.get(frame.id)
    if (broadcast === undefined) return // It timed out, or was given up.
    const body =
      frame.body === frame.end ? undefined : decodeValue(frame.bytes, frame.body, frame.end)
    if (frame.type === FrameType.receivers)
      broadcast.expect(body as Receivers, (number) => this.#peer.directory.get(number))
    else
      broadcast.applied(
        frame.from,
        body === undefined
          ? undefined
          : reviveFailure(body, broadcast.topic, `worker ${frame.from}`),
      )
  }

  #published(frame: Frame): void {
    const { id, from, flags } = frame
    const { name, version, valueAt } = readPublication(frame)
    const audience = this.#audiences.get(name)
    // Without one, the last subscriber left while this was on its way.
    const running =
      audience &&
      this.#runAll(audience, decodeValue(frame.bytes, valueAt, frame.end), {
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

  /** Runs all subscribers; `undefined` when they are done already. One that throws does not keep the value from the others. */
  #runAll(audience: Audience, value: unknown, delivery: Delivery): Promise<void> | undefined {
    const { topic, queues } = audience
    const deliver = (valid: unknown): Promise<void> | undefined => {
      if (topic.retain) audience.last = { value: valid, delivery }
      const running = [...queues].flatMap((queue) => this.#runOne(queue, valid, delivery) ?? [])
      return running.length === 0 ? undefined : allDone(running)
    }
    try {
      const valid = validate(topic.schema, value, refuseRequest(topic.name, 'value'))
      return valid instanceof Promise ? valid.then(deliver) : deliver(valid)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #runOne(queue: SubscriberQueue, value: unknown, delivery: Delivery): Promise<void> | undefined {
    try {
      return queue.deliver(value, delivery)
    } catch (error) {
      return Promise.reject(error)
    }
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
    const failure = describe(failed.error, this.#peer.stacks)
    try {
      send(link, head, encodeValue, failure)
    } catch (error) {
      send(link, head, encodeValue, withoutDetails(failure, error))
    }
  }

  #close(): void {
    for (const broadcast of this.#broadcasts.select(() => true))
      broadcast.fail(
        new PeerClosedError(`${broadcast.topic}: this peer closed before all had answered`),
      )
    this.#broadcasts.close()
  }
}

/** Whether a value was dropped. A subscriber's own call may be OVERLOADED, too, but names another procedure. */
function isDrop(error: unknown, topic: string): boolean {
  try {
    return error instanceof OverloadedError && error.procedure === topic
  } catch {
    return false // A proxy that throws when looked at: a subscriber's own.
  }
}

function givenUp({ name }: Named<Topic>, signal: AbortSignal | undefined): CancelledError {
  return new CancelledError(`${name}: the publisher stopped waiting`, { cause: signal?.reason })
}

/** Waits for all, and then fails with what the first to fail failed with. */
async function allDone(running: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(running)).find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
}
