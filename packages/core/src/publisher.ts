// The sending half of publications: values out to everyone who listens, and the broadcasts that wait for what becomes of them.

import { Broadcast } from './broadcast.js'
import type { Named, Topic } from './contract.js'
import { DEFAULT_TIMEOUT, isTimeout, MAX_TIMEOUT } from './contract.js'
import {
  DeadlineExceededError,
  InvalidContractError,
  InvalidOptionError,
  OverloadedError,
  PeerClosedError,
  type ProtocolError,
} from './errors.js'
import { send } from './exchange.js'
import { nameProcedure, reviveFailure } from './failure.js'
import { EVERYONE, Flag, type Frame, FrameType, type Receivers } from './frames.js'
import type { CallOptions, Receipt } from './infer.js'
import { givenUp, onGivenUp, scopeOf } from './origin.js'
import type { Peer } from './peer.js'
import { PendingTable } from './pending.js'
import { encodePublication } from './publication.js'
import { decodeValue } from './transports/codec.js'
import { refuseRequest, validate } from './validate.js'

/** Bytes that may wait on the way out before a publication is refused. */
const MAX_BACKLOG = 64 * 1024 * 1024

/** One peer's publications. */
export class Publisher {
  readonly #peer: Peer
  /** Broadcasts from here that some member has not answered. */
  readonly #broadcasts: PendingTable<Broadcast>
  /** By topic, while its schema is being waited for: over when the latest broadcast has been sent, or given up. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(peer: Peer) {
    this.#peer = peer
    this.#broadcasts = new PendingTable(peer.clock)
    peer.directory.onChange((gone) => {
      if (gone === undefined) return
      for (const broadcast of this.#broadcasts.select(() => true)) broadcast.gone(gone)
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
    this.#send(topic, value, 0)
  }

  /**
   * Sends to everyone who listens; the receipt tells of each when the last has run its subscribers. Made by a handler, it has no more time
   * than the request that is being handled, and is given up when that is cancelled.
   */
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
    this.#peer.scopes.activate()
    const scope = scopeOf(this.#peer)
    const up = givenUp(topic.name, signal, scope)
    if (up !== undefined) throw up
    const now = this.#peer.now()
    const deadline = Math.min(now + timeout, scope?.deadline ?? Number.POSITIVE_INFINITY)
    if (deadline <= now)
      throw new DeadlineExceededError(
        `${topic.name}: the time of the request that makes this broadcast is up`,
        { procedure: topic.name },
      )
    const broadcast = new Broadcast(this.#broadcasts, { topic: topic.name, deadline })
    // Before its schema is asked: an asynchronous one has no more time than all the rest.
    this.#broadcasts.add(broadcast)
    const forget = onGivenUp(topic.name, { signal, scope }, (error) => broadcast.fail(error))
    try {
      this.#begin(topic, value, broadcast)
      return await broadcast.receipt
    } finally {
      forget()
    }
  }

  /** Takes what comes back: who a broadcast went to, and what became of it there. */
  receive(frame: Frame): void {
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

  /** What a member says of a broadcast can't be read: it has failed there, as far as anybody can tell. */
  broken({ id, from }: Frame, error: ProtocolError): void {
    this.#broadcasts.get(id)?.applied(from, error)
  }

  close(): void {
    for (const broadcast of this.#broadcasts.select(() => true))
      broadcast.fail(
        new PeerClosedError(`${broadcast.topic}: this peer closed before all had answered`),
      )
    this.#broadcasts.close()
  }

  #begin(topic: Named<Topic>, value: unknown, broadcast: Broadcast): void {
    const go = () => this.#send(topic, value, broadcast.id)
    try {
      const checked = validate(topic.schema, value, refuseRequest(topic.name, 'value'))
      if (checked instanceof Promise || this.#turns.has(topic.name))
        this.#sendInTurn({ broadcast, checked, go })
      else go()
    } catch (error) {
      broadcast.fail(error as Error)
    }
  }

  /** Sends when the schema has answered, and not before the broadcasts that were made earlier: a publisher's values keep their order. */
  #sendInTurn(parts: {
    readonly broadcast: Broadcast
    readonly checked: unknown
    readonly go: () => void
  }): void {
    const { broadcast, checked, go } = parts
    const { topic } = broadcast
    const sent = Promise.all([checked, this.#turns.get(topic)]).then(() => {
      if (this.#broadcasts.get(broadcast.id) === broadcast) go()
    })
    sent.catch((error: Error) => broadcast.fail(error))
    const turn = Promise.race([sent, broadcast.receipt])
      .catch(() => undefined)
      .finally(() => {
        if (this.#turns.get(topic) === turn) this.#turns.delete(topic)
      })
    this.#turns.set(topic, turn)
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
}
