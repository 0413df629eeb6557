// Publications: values that go to every peer that listens, and the receipt of those that are awaited.

import type { Named, Topic } from './contract.js'
import { DEFAULT_TIMEOUT, MAX_TIMEOUT } from './contract.js'
import {
  CancelledError,
  ClusterwireError,
  InvalidContractError,
  InvalidOptionError,
  PeerClosedError,
} from './errors.js'
import { send, sendBare } from './exchange.js'
import { describeError, describeThrown, reviveFailure } from './failure.js'
import { EVERYONE, Flag, type Frame, type FrameHead, FrameType, type Receivers } from './frames.js'
import type { CallOptions, Outcome, PeerInfo, Receipt } from './infer.js'
import type { Peer } from './peer.js'
import { PendingTable, type Waiter } from './pending.js'
import { CompleteReceipt, infoOf } from './receipt.js'
import type { ByteWriter } from './transports/bytes.js'
import { decodeValue, encodeValue } from './transports/codec.js'
import { refuseRequest, validate } from './validate.js'

/** Gets a topic's values. The promise that it returns, if any, is awaited before a broadcast counts as applied. */
export type Subscriber = (value: unknown, context: { readonly from: PeerInfo }) => unknown

interface Subscription {
  readonly topic: Named<Topic>
  readonly subscribers: Set<Subscriber>
}

interface Publication {
  readonly topic: string
  readonly value: unknown
}

/** One peer's publications and subscriptions. */
export class Topics {
  readonly #peer: Peer
  readonly #subscriptions = new Map<string, Subscription>()
  /** Broadcasts from here that some member has not answered. */
  readonly #broadcasts: PendingTable<Broadcast>
  readonly #onError: (error: unknown, topic: string) => void

  /** @param onError gets what subscribers throw, and values that do not fit, when no publisher waits to be told */
  constructor(peer: Peer, onError: (error: unknown, topic: string) => void) {
    this.#peer = peer
    this.#onError = onError
    this.#broadcasts = new PendingTable(peer.clock)
    peer.onPublication = (frame) => this.#receive(frame)
    peer.directory.onChange((gone) => {
      if (gone !== undefined) for (const one of this.#broadcasts.select(() => true)) one.gone(gone)
    })
    peer.onClose(() => {
      for (const broadcast of this.#broadcasts.select(() => true))
        broadcast.fail(
          new PeerClosedError(`${broadcast.topic}: this peer closed before all had answered`),
        )
      this.#broadcasts.close()
    })
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
    this.#send(topic, value, { flags: 0, id: 0 })
  }

  /** Sends to everyone who listens; the receipt tells of each when the last has run its subscribers. */
  async broadcast(topic: Named<Topic>, value: unknown, options: CallOptions): Promise<Receipt> {
    const { timeout = DEFAULT_TIMEOUT, signal } = options
    if (!(timeout > 0 && timeout <= MAX_TIMEOUT))
      throw new InvalidOptionError(
        `${topic.name}: "timeout" must be more than 0 and at most ${MAX_TIMEOUT} milliseconds, got ${String(timeout)}`,
      )
    this.#peer.assertOpen()
    const deadline = this.#peer.now() + timeout
    await validate(topic.schema, value, refuseRequest(topic.name, 'value'))
    return new Promise((resolve, reject) => {
      const abort = () =>
        broadcast.fail(
          new CancelledError(`${topic.name}: the publisher stopped waiting`, {
            cause: signal?.reason,
          }),
        )
      const settled = () => signal?.removeEventListener('abort', abort)
      const broadcast = new Broadcast(this.#broadcasts, {
        topic: topic.name,
        deadline,
        resolve: (receipt) => (settled(), resolve(receipt)),
        reject: (error) => (settled(), reject(error)),
      })
      if (signal?.aborted) return abort()
      this.#send(topic, value, { flags: Flag.acknowledge, id: broadcast.id })
      this.#broadcasts.add(broadcast)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /** Calls `subscriber` with each value from now on; the function returned ends that. */
  subscribe(topic: Named<Topic>, subscriber: Subscriber): () => void {
    this.#peer.assertOpen()
    let subscription = this.#subscriptions.get(topic.name)
    if (subscription === undefined) {
      subscription = { topic, subscribers: new Set() }
      this.#subscriptions.set(topic.name, subscription)
      this.#peer.announce({ subscribe: [topic.name] })
    }
    // Wrapped, so that the same function subscribed twice is two subscriptions.
    const own: Subscriber = (value, context) => subscriber(value, context)
    const { subscribers } = subscription
    subscribers.add(own)
    return () => {
      if (!subscribers.delete(own) || subscribers.size > 0) return
      this.#subscriptions.delete(topic.name)
      this.#peer.announce({ unsubscribe: [topic.name] })
    }
  }

  #send(topic: Named<Topic>, value: unknown, { flags, id }: { flags: number; id: number }): void {
    const head: FrameHead = {
      type: FrameType.publish,
      flags,
      ref: 0,
      to: EVERYONE,
      from: this.#peer.number,
      id,
      arg: topic.name.length,
    }
    send(this.#peer.linkToEveryone(), head, encodePublication, { topic: topic.name, value })
  }

  #receive(frame: Frame): void {
    if (frame.type === FrameType.publish) return this.#published(frame)
    const broadcast = this.#broadcasts.get(frame.id)
    if (broadcast === undefined) return // It timed out, or was given up.
    if (frame.type === FrameType.receivers) {
      const receivers = decodeValue(frame.bytes, frame.body, frame.end) as Receivers
      broadcast.expect(receivers, (number) => this.#peer.directory.get(number))
    } else
      broadcast.applied(
        frame.from,
        frame.body === frame.end
          ? undefined
          : reviveFailure(
              decodeValue(frame.bytes, frame.body, frame.end),
              broadcast.topic,
              `worker ${frame.from}`,
            ),
      )
  }

  #published(frame: Frame): void {
    const { id, from, flags } = frame
    const nameEnd = frame.body + frame.arg
    const subscription = this.#subscriptions.get(topicOf(frame))
    const name = subscription?.topic.name ?? ''
    const ran =
      subscription === undefined
        ? undefined // Unsubscribed while this was on its way.
        : this.#run(subscription, decodeValue(frame.bytes, nameEnd, frame.end), from)
    const waits = (flags & Flag.acknowledge) !== 0
    if (ran === undefined) {
      if (waits) this.#acknowledge(from, id, undefined)
      return
    }
    ran.then(
      () => waits && this.#acknowledge(from, id, undefined),
      (error: unknown) =>
        waits ? this.#acknowledge(from, id, { error }) : this.#onError(error, name),
    )
  }

  /** Runs all subscribers; `undefined` when they are done already. One that throws does not keep the value from the others. */
  #run(
    { topic, subscribers }: Subscription,
    value: unknown,
    from: number,
  ): Promise<void> | undefined {
    const member = this.#peer.directory.get(from)
    const context = { from: member === undefined ? { number: from, id: '' } : infoOf(member) }
    const waiting: Promise<unknown>[] = []
    const deliver = (valid: unknown) => {
      for (const subscriber of [...subscribers]) {
        try {
          const result = subscriber(valid, context)
          if (result instanceof Promise) waiting.push(result)
        } catch (error) {
          waiting.push(Promise.reject(error))
        }
      }
    }
    try {
      const valid = validate(topic.schema, value, refuseRequest(topic.name, 'value'))
      if (valid instanceof Promise) return valid.then(deliver).then(() => allDone(waiting))
      deliver(valid)
    } catch (error) {
      waiting.push(Promise.reject(error))
    }
    return waiting.length === 0 ? undefined : allDone(waiting)
  }

  #acknowledge(to: number, id: number, failed: { readonly error: unknown } | undefined): void {
    const member = this.#peer.directory.get(to)
    if (member === undefined || this.#peer.closed) return
    const link = this.#peer.linkTo(member)
    const head = {
      type: FrameType.applied,
      flags: 0,
      ref: 0,
      to,
      from: this.#peer.number,
      id,
      arg: 0,
    }
    if (failed === undefined) return sendBare(link, head)
    const { error } = failed
    const failure =
      error instanceof ClusterwireError
        ? describeError(error)
        : describeThrown(error, this.#peer.stacks)
    send(link, head, encodeValue, failure)
  }
}

/** The topic's name in a publish frame. The router reads it too. */
export function topicOf({ bytes, body, arg }: Frame): string {
  return bytes.toString('latin1', body, body + arg)
}

function encodePublication(out: ByteWriter, { topic, value }: Publication): void {
  out.ensure(topic.length)
  out.position += out.buffer.write(topic, out.position, 'latin1')
  encodeValue(out, value)
}

/** Waits for all, and then fails with what the first to fail failed with. */
async function allDone(waiting: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(waiting)).find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
}

interface BroadcastParts {
  readonly topic: string
  readonly deadline: number
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: Error) => void
}

/** One broadcast that is waited for. Who is to answer comes from the router: it alone knows who was there when it passed. */
class Broadcast implements Waiter {
  readonly id: number
  readonly #table: PendingTable<Broadcast>
  readonly #parts: BroadcastParts
  readonly #outcomes: Outcome<undefined>[] = []
  /** Members that have not answered; `undefined` until the router has said who they are. */
  #missing: Map<number, PeerInfo> | undefined

  constructor(table: PendingTable<Broadcast>, parts: BroadcastParts) {
    this.id = table.nextId()
    this.#table = table
    this.#parts = parts
  }

  get deadline(): number {
    return this.#parts.deadline
  }

  get topic(): string {
    return this.#parts.topic
  }

  expect({ sent, deaf }: Receivers, find: (number: number) => PeerInfo | undefined): void {
    this.#missing = new Map()
    for (const number of deaf)
      this.#outcomes.push({
        member: infoOf(find(number) ?? unknown(number)),
        status: 'no-subscriber',
      })
    for (const number of sent) {
      const member = find(number)
      if (member !== undefined) this.#missing.set(number, infoOf(member))
      else this.#outcomes.push({ member: unknown(number), status: 'exited' })
    }
    this.#settleWhenComplete()
  }

  applied(number: number, error: ClusterwireError | undefined): void {
    const member = this.#missing?.get(number)
    if (member === undefined) return // A member that the receipt does not wait for.
    this.#settle(
      error === undefined
        ? { member, status: 'applied', value: undefined }
        : { member, status: 'failed', error },
    )
  }

  gone({ number }: PeerInfo): void {
    const member = this.#missing?.get(number)
    if (member !== undefined) this.#settle({ member, status: 'exited' })
  }

  expire(): void {
    for (const member of this.#missing?.values() ?? [])
      this.#outcomes.push({ member, status: 'timed-out' })
    this.#parts.resolve(new CompleteReceipt(this.#outcomes))
  }

  fail(error: Error): void {
    this.#table.remove(this.id)
    this.#parts.reject(error)
  }

  #settle(outcome: Outcome<undefined>): void {
    this.#missing?.delete(outcome.member.number)
    this.#outcomes.push(outcome)
    this.#settleWhenComplete()
  }

  #settleWhenComplete(): void {
    if (this.#missing?.size !== 0) return
    this.#table.remove(this.id)
    this.#parts.resolve(new CompleteReceipt(this.#outcomes))
  }
}

function unknown(number: number): PeerInfo {
  return { number, id: '' }
}
