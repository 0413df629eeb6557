// One peer: begins exchanges, answers those of others, and settles all of them when the other side is gone. The same on every side of
// every link; it knows neither Node nor schemas.

import type { Channel, Channels } from './channels.js'
import { Directory, type Member } from './directory.js'
import { PeerClosedError, ProtocolError } from './errors.js'
import type { Exchanger, Turnstile } from './exchange.js'
import { describeError } from './failure.js'
import { type Announcement, EVERYONE, Flag, type Frame, FrameType } from './frames.js'
import { Moment } from './moment.js'
import type { OutgoingExchange, Request } from './outgoing.js'
import { Requests } from './requests.js'
import { RetryBudget } from './retry-budget.js'
import { type ScopeStore, Scopes } from './scopes.js'
import { type ExchangeHandler, Services } from './services.js'
import { type PeerData, Stats } from './stats.js'
import type { Clock, Link } from './transport.js'
import { DEAD_END } from './transports/dead-end.js'
import { WaitingRoom } from './waiting-room.js'

/** What a peer needs of its surroundings. */
export interface PeerOptions {
  /** A name that no other peer has. */
  readonly id: string
  /** Its number in the cluster. */
  readonly number: number
  readonly clock: Clock
  /** The link that leads to a member (or to `EVERYONE`); `undefined` when there is none any more. */
  readonly linkTo: (number: number) => Link | undefined
  /** Lets the others know what changed about this peer. */
  readonly announce: (change: Omit<Announcement, 'number'>) => void
  /** Whether stack traces of handlers' errors may reach callers. Default `true` */
  readonly stacks?: boolean | undefined
  /** Whether the error of a failed call shows the line that made the call. Costs some microseconds with every call. Default `false` */
  readonly callSites?: boolean | undefined
  /** Knows which request the running code is handling. Without one, nested calls inherit nothing. */
  readonly scopes?: ScopeStore | undefined
  /** Whether that costs so little that it is used before there is any client. Default `false` */
  readonly scopesAreCheap?: boolean | undefined
  /** Told of what happens here. */
  readonly channels?: Channels | undefined
  /** Bytes that may wait for a link whose other side does not read; beyond them calls fail with `OVERLOADED`. Default 64 MiB */
  readonly maxQueuedBytes?: number | undefined
}

/** Takes back what a member has not begun; resolves with a test for the exchanges that it was. */
export type Recaller = (number: number, lastId: number) => Promise<(id: number) => boolean>

/** Receives the frames about publications. */
export type PublicationReceiver = (frame: Frame) => void

/** What was dropped, and why: each is harmless alone, and a sign of trouble in number. */
export interface PeerCounters {
  /** Answers that came after their call had timed out or been cancelled. */
  readonly late: number
  /** Frames of other workers that broke the rules. (One of an adjacent peer ends its link instead.) */
  readonly violations: number
}

/** A peer. */
export class Peer implements Exchanger {
  readonly id: string
  readonly number: number
  readonly clock: Clock
  readonly moment: Moment
  readonly directory: Directory = new Directory()
  readonly stacks: boolean
  /** Which request the running code is handling. */
  readonly scopes: Scopes
  /** What it has called and answered, and how that went. */
  readonly stats: Stats = new Stats()
  /** Requests whose handlers were entered. An adapter counts those that it hands over itself. */
  handled = 0
  abandoned = 0
  readonly counters: PeerCounters
  #violations = 0
  /** Calls that wait for a worker to get ready. */
  readonly waiting: WaitingRoom
  readonly retries: RetryBudget = new RetryBudget()
  /** Set by topics.ts. */
  onPublication: PublicationReceiver | undefined
  /** Set by a worker that has a watchdog. */
  turnstile: Turnstile | undefined
  /** Set by the primary: takes back what a member has not begun, up to an exchange, and says which that was. */
  recaller: Recaller | undefined
  /** Set by topics.ts: told of a frame about a broadcast from here that can't be read. */
  onBrokenReceipt: ((frame: Frame, error: ProtocolError) => void) | undefined
  readonly #options: PeerOptions
  readonly #requests: Requests
  readonly #services: Services
  readonly #closeListeners = new Set<() => void>()
  /** Asked whenever an exchange that is served here ends. */
  readonly #answeredListeners = new Set<() => void>()
  /** Why it is closed; undefined when it is not. */
  #closed: { readonly why: string; readonly cause: Error | undefined } | undefined

  constructor(options: PeerOptions) {
    this.id = options.id
    this.number = options.number
    this.clock = options.clock
    this.moment = new Moment(options.clock)
    this.stacks = options.stacks ?? true
    this.#options = options
    this.scopes = new Scopes(options.scopes, options.scopesAreCheap ?? false)
    this.#requests = new Requests(this, options.maxQueuedBytes)
    this.counters = Object.defineProperties({} as PeerCounters, {
      late: { get: () => this.#requests.late, enumerable: true },
      violations: { get: () => this.#violations, enumerable: true },
    })
    this.#services = new Services(this, this.directory)
    this.waiting = new WaitingRoom(options.clock, this.directory)
    this.directory.onChange((gone, ready) => {
      if (gone !== undefined) this.#tellOf(options.channels?.['peer.down'], gone)
      if (ready !== undefined) this.#tellOf(options.channels?.['peer.up'], ready)
    })
  }

  /** Exchanges begun here that have not ended. */
  get pending(): number {
    return this.#requests.size + this.waiting.size
  }

  /** Exchanges of others that have not been answered. */
  get serving(): number {
    return this.#services.open
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  get callSites(): boolean {
    return this.#options.callSites ?? false
  }

  get channels(): Channels | undefined {
    return this.#options.channels
  }

  now(): number {
    return this.#options.clock.now()
  }

  /** All its numbers, to be sent. */
  statsData(): PeerData {
    return { ...this.stats.toData(), ...this.counters }
  }

  linkTo(member: Member): Link {
    return this.#options.linkTo(member.number) ?? DEAD_END
  }

  /** The link that publications leave by. */
  linkToEveryone(): Link {
    return this.#options.linkTo(EVERYONE) ?? DEAD_END
  }

  announce(change: Omit<Announcement, 'number'>): void {
    if (this.#closed === undefined) this.#options.announce(change)
  }

  /**
   * Serves a procedure: `handle` gets every request for it.
   *
   * @param fingerprint tells versions of its schemas apart. Default: none, so that all versions count as the same
   * @throws InvalidContractError when this peer serves it already
   */
  serve(name: string, handle: ExchangeHandler, fingerprint = ''): void {
    this.assertOpen()
    this.#services.add(name, handle)
    this.announce({ procedures: [[name, fingerprint]] })
  }

  /**
   * Begins an exchange.
   *
   * @throws InvalidValueError or FrameTooLargeError when the input can't be sent, OverloadedError when too much waits already,
   *   PeerClosedError. Nothing was sent then, and `events` hears nothing.
   */
  open<T>(request: Request<T>): OutgoingExchange {
    this.assertOpen()
    return this.#requests.open(request)
  }

  /**
   * Takes back what a member that does not answer has not begun, of the exchanges whose callers hear `recalled`. Nothing happens while its
   * whole process is stopped, or where it has no watchdog.
   */
  async recall({ number }: Member): Promise<void> {
    const isTaken = await this.recaller?.(number, this.#requests.lastId)
    if (isTaken !== undefined) this.#requests.recall(number, isTaken)
  }

  /**
   * Takes a frame that is addressed to this peer.
   *
   * @throws ProtocolError when no peer of ours would send it
   */
  receive(frame: Frame): void {
    switch (frame.type) {
      case FrameType.open:
        this.#services.take(frame)
        break
      case FrameType.reply:
      case FrameType.error:
        this.#requests.find(frame)?.settle(frame)
        break
      case FrameType.started:
        this.#requests.find(frame)?.events.started?.()
        break
      case FrameType.data:
        this.#data(frame)
        break
      case FrameType.end:
        this.#services.find(frame)?.events?.end?.()
        break
      case FrameType.cancel:
        this.#services.cancel(frame)
        break
      case FrameType.credit:
        this.#credit(frame)
        break
      case FrameType.publish:
      case FrameType.receivers:
      case FrameType.applied:
        this.onPublication?.(frame)
        break
      default:
        throw new ProtocolError(`A frame of type ${frame.type} is not for a peer`)
    }
  }

  /**
   * A frame that only passed through the adjacent peer broke the rules: what it belongs to ends, and nothing else. The link is not to
   * blame, and to end it would let any worker end any other.
   */
  violated(frame: Frame, cause: unknown): void {
    this.#violations++
    const why = cause instanceof Error ? cause.message : String(cause)
    const error = new ProtocolError(`Peer ${frame.from} broke the protocol: ${why}`, { cause })
    if (frame.type === FrameType.publish) return // It belongs to nothing that is waited for here.
    if (frame.type === FrameType.receivers || frame.type === FrameType.applied)
      this.onBrokenReceipt?.(frame, error)
    else if (frame.type === FrameType.open) this.#services.peek(frame)?.fail(describeError(error))
    else if ((frame.flags & Flag.toCallee) !== 0) this.#services.peek(frame)?.cancel(error)
    else this.#requests.peek(frame)?.cancel(error)
  }

  /** A frame of ours was certainly never handed over. */
  returned(frame: Frame): void {
    this.#requests.returned(frame)
  }

  /** A member is gone: its requests end, and nothing is asked of it any more. What has been asked may still come back unread. */
  departed(number: number): void {
    const member = this.directory.remove(number)
    if (member !== undefined) this.#services.gone(member)
  }

  /** A member is gone, and nothing of what was asked of it will come back: every exchange with it ends now. */
  gone(number: number, why: string): void {
    this.departed(number)
    this.#requests.gone(number, why)
  }

  answered(): void {
    for (const listener of this.#answeredListeners) listener()
  }

  /** Resolves when at most `rest()` exchanges are left to answer, or the peer is closed. */
  quiet(rest: () => number = () => 0): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (this.serving > rest() && !this.closed) return
        this.#answeredListeners.delete(check)
        forget()
        resolve()
      }
      const forget = this.onClose(check)
      this.#answeredListeners.add(check)
      check()
    })
  }

  /** Calls `listener` when this peer closes; the function returned takes that back. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  /** Ends every exchange with `PEER_CLOSED`, which their handlers are told. Nothing else goes out or comes in any more. */
  close(why: string): void {
    this.#end(why, undefined, (exchange) => exchange.cancel(this.#closedError(exchange.procedure)))
  }

  /** The link to all others has ended: every exchange is lost, `unsent` certainly before it was handed over. */
  cutOff(why: string, cause: Error | undefined, unsent: Iterable<Frame>): void {
    const returned = new Set<number>()
    for (const { type, id } of unsent) if (type === FrameType.open) returned.add(id)
    this.#end(why, cause, (exchange) =>
      exchange.lost(returned.has(exchange.id) ? 'no' : 'unknown', why),
    )
  }

  #end(why: string, cause: Error | undefined, settle: (exchange: OutgoingExchange) => void): void {
    if (this.#closed !== undefined) return
    this.#closed = { why, cause }
    this.waiting.close((procedure) => this.#closedError(procedure))
    // First: it is this peer that goes, and not, as the next step has it, all the others.
    for (const listener of this.#closeListeners) listener()
    this.#closeListeners.clear()
    for (const member of this.directory.all()) this.departed(member.number)
    this.#requests.close(settle)
    this.scopes.close()
  }

  assertOpen(): void {
    if (this.#closed !== undefined) throw this.#closedError()
  }

  #closedError(procedure?: string): PeerClosedError {
    const { why, cause } = this.#closed as { why: string; cause: Error | undefined }
    const about = procedure === undefined ? '' : `${procedure}: `
    return new PeerClosedError(`${about}this peer is closed: ${why}`, {
      procedure,
      ...(cause && { cause }),
    })
  }

  #tellOf(channel: Channel | undefined, { number, id }: Member): void {
    if (channel?.hasSubscribers) channel.publish({ peer: this.number, number, id })
  }

  #data(frame: Frame): void {
    const exchange =
      frame.flags & Flag.toCallee ? this.#services.find(frame) : this.#requests.find(frame)
    if (exchange === undefined) return // It was cancelled while this was on its way.
    if (!exchange.admit(frame))
      throw new ProtocolError(
        `${exchange.member} sent more of ${exchange.procedure} than it was given credit for`,
      )
    exchange.events?.data?.(frame)
  }

  #credit(frame: Frame): void {
    const exchange =
      frame.flags & Flag.toCallee ? this.#services.find(frame) : this.#requests.find(frame)
    exchange?.credit(frame.arg)
  }
}
