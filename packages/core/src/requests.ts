// What one peer asks of others, and has not seen the end of.

import { OWN_NAMES } from './contract.js'
import { OverloadedError, ProtocolError } from './errors.js'
import { type Exchanger, send } from './exchange.js'
import { nameProcedure } from './failure.js'
import { Flag, type Frame, FrameType } from './frames.js'
import { encodeRequest, type Opener, OutgoingExchange, type Request } from './outgoing.js'
import { PendingTable } from './pending.js'

const MAX_QUEUED_BYTES = 64 * 1024 * 1024

/** The calling half of a peer. */
export class Requests implements Opener {
  /** Answers that came after their exchange had ended. */
  late = 0
  readonly peer: Exchanger
  readonly #pending: PendingTable<OutgoingExchange>
  readonly #maxQueuedBytes: number

  /** @param maxQueuedBytes bytes that may wait for a link whose other side does not read. Default 64 MiB */
  constructor(peer: Exchanger, maxQueuedBytes: number = MAX_QUEUED_BYTES) {
    this.peer = peer
    this.#pending = new PendingTable(peer.clock)
    this.#maxQueuedBytes = maxQueuedBytes
  }

  /** Those that have not ended. */
  get size(): number {
    return this.#pending.size
  }

  /**
   * Begins an exchange.
   *
   * @throws InvalidValueError or FrameTooLargeError when the input can't be sent, OverloadedError when too much waits already. Nothing was sent
   *   then, and `events` hears nothing.
   */
  open<T>(request: Request<T>): OutgoingExchange {
    const { member, procedure } = request
    const link = this.peer.linkTo(member)
    // What the cluster says about itself is short and bounded in number, and has to get through above all when much waits.
    if (link.queued > this.#maxQueuedBytes && !procedure.startsWith(OWN_NAMES))
      throw new OverloadedError(
        `${procedure}: ${link.queued} bytes wait for ${member} already, which does not read fast enough; try again later`,
        { procedure },
      )
    const exchange = new OutgoingExchange(this, this.#pending.nextId(), request)
    const head = {
      type: FrameType.open,
      flags: (request.upload ? Flag.upload : 0) | (request.origin === undefined ? 0 : Flag.meta),
      ref: request.ref,
      to: member.number,
      from: this.peer.number,
      id: exchange.id,
      arg: Math.ceil(request.timeout),
    }
    try {
      send(link, head, encodeRequest, request)
    } catch (error) {
      throw nameProcedure(procedure, error)
    }
    this.#pending.add(exchange)
    member.pending++
    // Died between the choice and here: nothing will ever say so again. Told when its caller holds the exchange.
    if (member.state === 'gone') queueMicrotask(() => exchange.lost('no', 'it was gone already'))
    return exchange
  }

  ended(exchange: OutgoingExchange): boolean {
    if (!this.#pending.remove(exchange.id)) return false
    exchange.uncount()
    return true
  }

  /** The exchange that an answer belongs to; undefined when it is over. @throws ProtocolError when its sender was never asked */
  find(frame: Frame): OutgoingExchange | undefined {
    const exchange = this.#pending.get(frame.id)
    if (exchange !== undefined && exchange.member.number === frame.from) return exchange
    if (frame.id > this.#pending.lastId || exchange !== undefined)
      throw new ProtocolError(
        `Peer ${frame.from} answered exchange ${frame.id}, which it was not asked`,
      )
    if (frame.type === FrameType.reply || frame.type === FrameType.error) this.late++
    return undefined
  }

  /** The same, for a frame that is known to be wrong. */
  peek({ from, id }: Frame): OutgoingExchange | undefined {
    const exchange = this.#pending.get(id)
    return exchange?.member.number === from ? exchange : undefined
  }

  /** The last id that was given out. */
  get lastId(): number {
    return this.#pending.lastId
  }

  /** Some of a member's were taken back. */
  recall(number: number, isTaken: (id: number) => boolean): void {
    const taken = this.#pending.select(
      ({ id, member, recallable }) => member.number === number && recallable && isTaken(id),
    )
    for (const exchange of taken) exchange.recall()
  }

  /** A frame of ours was certainly never handed over. */
  returned(frame: Frame): void {
    if (frame.type === FrameType.open)
      this.#pending.get(frame.id)?.lost('no', 'the request was still queued here')
  }

  /** A member is gone, and nothing of what was asked of it will come back. */
  gone(number: number, why: string): void {
    for (const exchange of this.#pending.select((one) => one.member.number === number))
      exchange.lost('unknown', why)
  }

  /** Ends all of them in the same way, and stops the timer. */
  close(settle: (exchange: OutgoingExchange) => void): void {
    for (const exchange of this.#pending.select(() => true)) settle(exchange)
    this.#pending.close()
  }
}
