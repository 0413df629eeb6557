// What the primary and every worker can do alike: call, serve, publish and listen, all in terms of contracts.

import { Clients } from './client.js'
import { type Contract, contractName, type Named, type Topic } from './contract.js'
import { InvalidContractError, InvalidOptionError } from './errors.js'
import { gatherClient } from './gather.js'
import { serve } from './handlers.js'
import type {
  CallOptions,
  Client,
  Delivery,
  GatherClient,
  Handlers,
  PeerInfo,
  PublishedValue,
  Receipt,
  ReceivedValue,
  SubscribeOptions,
  Subscription,
  SubscriptionIterable,
} from './infer.js'
import type { Middleware } from './middleware.js'
import type { Peer, PeerCounters } from './peer.js'
import type { Target } from './routing.js'
import { Service } from './service.js'
import { type Subscriber, SubscriptionIterator } from './subscription.js'
import { Topics } from './topics.js'

/** Runs when its owner drains; what it returns is awaited, within the drain's deadline. */
export type DrainHook = () => unknown

/** A peer as its user sees it. */
export class ClusterPeer implements PeerInfo {
  /** The untyped peer underneath, for adapters that speak bytes. */
  readonly peer: Peer
  readonly #clients: Clients
  readonly #topics: Topics
  readonly #drainHooks = new Set<DrainHook>()

  /** @param onError gets errors that have nobody else to go to: what a subscriber throws when no publisher waits */
  constructor(peer: Peer, onError: (error: unknown, where: string) => void) {
    this.peer = peer
    this.#clients = new Clients(peer)
    this.#topics = new Topics(peer, onError)
  }

  /** Its number in the cluster: 0 for the primary. */
  get number(): number {
    return this.peer.number
  }

  /** A name that no other peer has. */
  get id(): string {
    return this.peer.id
  }

  /**
   * What was dropped here since the start. Each is harmless alone, and a sign of trouble in number.
   *
   * - `late`: answers that came after their call had timed out or been cancelled: deadlines that are too short for what is asked.
   * - `violations`: frames of other workers that broke the protocol: a worker that is broken, or of another build.
   */
  get counters(): Readonly<PeerCounters> {
    return this.peer.counters
  }

  /** Calls and broadcasts from here that have not settled. */
  get pending(): number {
    return this.peer.pending + this.#topics.pending
  }

  /**
   * Creates a client: the contract's procedures as methods. Each call is validated here, sent, and settles exactly once: with the
   * answer, or with one of the errors of errors.ts.
   *
   * @param target `{ to }` a worker's number or "primary"; `{ key }` for the same worker with the same key;
   *   `{ use }` middleware around each call. Default: the ready worker with the fewest calls pending
   * @throws InvalidContractError, InvalidOptionError
   */
  client<C extends Contract>(contract: C, target: Target = {}): Client<C> {
    assertContract(contract)
    this.peer.scopes.activate()
    return this.#clients.create(contract, target)
  }

  /**
   * Creates a client that calls every ready worker at once. Its calls resolve with each one's outcome; they reject only when the
   * call itself is wrong. A worker that dies meanwhile is settled at once, one that is started meanwhile is not waited for.
   *
   * @param options `{ use }` middleware around each call, which gets its receipt. Default none
   */
  all<C extends Contract>(contract: C, options: Pick<Target, 'use'> = {}): GatherClient<C> {
    assertContract(contract)
    this.peer.scopes.activate()
    return gatherClient(this.peer, contract, options)
  }

  /**
   * Answers a contract's procedures from now on.
   *
   * @throws InvalidContractError when a handler is missing or too many, or a procedure is served here already
   */
  serve<C extends Contract>(contract: C, handlers: Handlers<C>): void {
    assertContract(contract)
    serve(this.peer, contract, { handlers: handlers as Readonly<Record<string, unknown>> })
  }

  /**
   * Puts middleware around what is served behind it: `peer.use(auth).serve(contract, handlers)`. It may look at a request, refuse it by
   * throwing, and add to the handlers' context by `next({ user })`, which their types then know.
   */
  use<Added extends object>(middleware: Middleware<object, Added>): Service<Added> {
    return new Service(this.peer, [middleware as Middleware])
  }

  /**
   * Sends a value to every peer that listens to the topic, this one included. Nobody waits: each gets it at most once, in this
   * publisher's order.
   *
   * @throws InvalidRequestError when the value does not fit the topic's schema, InvalidValueError, FrameTooLargeError
   */
  publish<T extends Named<Topic>>(topic: T, value: PublishedValue<T>): void {
    assertTopic(topic)
    this.#topics.publish(topic, value)
  }

  /**
   * Sends a value to every peer that listens to the topic, this one included, and resolves when all of them have run their
   * subscribers, promises included. Who "all" are is decided where the value passes the primary: a worker that gets ready later
   * can't have seen anything older than this broadcast's cause. A handler's broadcast has no more time than the request that is being
   * handled, and is over, with `CANCELLED`, when that is cancelled.
   *
   * @param options.timeout milliseconds to wait for the slowest member, which is then `timed-out`, and for the topic's schema where that
   *   is asynchronous. Default 30 000
   * @param options.signal aborting it rejects with `CANCELLED`; the value is not taken back
   */
  async broadcast<T extends Named<Topic>>(
    topic: T,
    value: PublishedValue<T>,
    options: CallOptions = {},
  ): Promise<Receipt> {
    assertTopic(topic)
    return this.#topics.broadcast(topic, value, options)
  }

  /**
   * Calls `subscriber` with each value of the topic, after it has passed the schema: one after another, in the order of each publisher.
   * While the promise that it returns is pending, the next values wait, and a broadcast waits with them; so they do while an asynchronous
   * schema is asked about a value.
   *
   * @returns what ends the subscription
   * @throws InvalidOptionError, InvalidContractError
   */
  subscribe<T extends Named<Topic>>(
    topic: T,
    subscriber: (value: ReceivedValue<T>, delivery: Delivery) => unknown,
    options?: SubscribeOptions,
  ): Subscription
  /** Listens to the topic by iterating: `for await (const value of worker.subscribe(topic))`. Leaving the loop ends it. */
  subscribe<T extends Named<Topic>>(
    topic: T,
    options?: SubscribeOptions,
  ): SubscriptionIterable<ReceivedValue<T>>
  subscribe(
    topic: Named<Topic>,
    second: Subscriber | SubscribeOptions = {},
    options: SubscribeOptions = {},
  ): Subscription | SubscriptionIterable<unknown> {
    assertTopic(topic)
    if (typeof second === 'function') {
      const { queue, stop } = this.#topics.subscribe(topic, second, options)
      return withDropped(stop, queue)
    }
    if (typeof second !== 'object' || second === null)
      throw new InvalidOptionError(`subscribe(${topic.name}): the subscriber must be a function`)
    const values = new SubscriptionIterator(() => {
      handle.stop()
      forget()
    })
    const handle = this.#topics.subscribe(topic, (value) => values.offer(value), {
      ...second,
      onDisconnect: (error) => values.fail(error),
    })
    // What has come before is still the loop's.
    const forget = this.peer.onClose(() => handle.queue.whenIdle(() => values.return()))
    return withDropped(values, handle.queue)
  }

  /** Runs `hook` when this peer drains, before its exchanges are waited for; the function returned takes that back. */
  onDrain(hook: DrainHook): () => void {
    this.#drainHooks.add(hook)
    return () => this.#drainHooks.delete(hook)
  }

  /** Runs the drain hooks, all at once; resolves when the last is done. One that fails does not stop the others. */
  protected async runDrainHooks(): Promise<PromiseSettledResult<unknown>[]> {
    return Promise.allSettled([...this.#drainHooks].map(async (hook) => hook()))
  }
}

function withDropped<T extends object>(
  target: T,
  queue: { readonly dropped: number },
): T & { readonly dropped: number } {
  const property = { get: () => queue.dropped, enumerable: true }
  return Object.defineProperty(target, 'dropped', property) as T & { readonly dropped: number }
}

function assertContract(value: Contract | undefined): void {
  if (typeof value?.[contractName] !== 'string')
    throw new InvalidContractError('A contract made by contract() is needed here')
}

function assertTopic(value: Named<Topic> | undefined): void {
  if (value?.kind !== 'topic' || typeof value.name !== 'string')
    throw new InvalidContractError(
      'A topic of a contract is needed here, as in publish(pricing.changed, …)',
    )
}
