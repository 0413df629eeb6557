// The workers of one cluster: started, watched, replaced, more or fewer of them. What changes their number is done one at a time.

import { Clients } from '../client.js'
import { DrainingError } from '../errors.js'
import type { Clock } from '../transport.js'
import { workerControl } from './control.js'
import { Ending } from './ending.js'
import type { WorkerExit } from './exit.js'
import type { ForkOptions } from './fork.js'
import type { LivenessOptions } from './heartbeat.js'
import type { RecycleOptions } from './recycle.js'
import type { RestartOptions } from './restarts.js'
import type { Router } from './router.js'
import { leastUseful, Slot, type SlotOwner } from './slot.js'
import { isRecalled } from './turnstile.js'
import { Watch } from './watch.js'
import type { MainThreadReport } from './watchdog-line.js'
import { WorkerProcess } from './worker-process.js'

/** Milliseconds that a worker gets to end by itself when it has told of the error that ends it. */
const LAST_GRACE = 2_000

/** How workers are started and watched. */
export interface PoolOptions {
  readonly size: number
  readonly fork: ForkOptions
  readonly clock: Clock
  readonly bootTimeout: number
  readonly drainTimeout: number
  readonly maxFrameBytes: number | undefined
  readonly liveness: LivenessOptions
  readonly restarts: RestartOptions
  readonly recycle: RecycleOptions
  readonly events: PoolEvents
}

/** Whom the pool tells. */
export interface PoolEvents {
  forked(worker: WorkerProcess): void
  ready(worker: WorkerProcess): void
  suspect(worker: WorkerProcess, silentMs: number): void
  recovered(worker: WorkerProcess): void
  stuck(worker: WorkerProcess, silentMs: number, report: MainThreadReport): void
  draining(worker: WorkerProcess): void
  recycle(worker: WorkerProcess, reason: string): void
  exited(worker: WorkerProcess, exit: WorkerExit): void
  /** So many places are left alone for a while; 0 when all are in use again. */
  resting(places: number): void
  error(error: unknown, where: string): void
}

/** The workers of one cluster. */
export class WorkerPool implements SlotOwner {
  /** How workers end. */
  readonly ending: Ending
  /** Which reload starts workers now. */
  #generation = 0
  readonly #router: Router
  readonly #options: PoolOptions
  readonly #clients: Clients
  #slots: readonly Slot[]
  readonly #watches = new Map<WorkerProcess, Watch>()
  /** What is being done, and all that waits for it. */
  #lastTurn: Promise<unknown> = Promise.resolve()
  #stopped = false

  constructor(router: Router, options: PoolOptions) {
    this.#router = router
    this.#options = options
    this.#clients = new Clients(router.peer)
    this.ending = new Ending({ clock: options.clock, router, onError: options.events.error })
    this.#slots = Array.from({ length: options.size }, () => new Slot(this))
  }

  get clock(): Clock {
    return this.#options.clock
  }

  get restarts(): RestartOptions {
    return this.#options.restarts
  }

  get bootTimeout(): number {
    return this.#options.bootTimeout
  }

  get exec(): string {
    return this.#options.fork.exec
  }

  get generation(): number {
    return this.#generation
  }

  /** How many workers there are to be. */
  get size(): number {
    return this.#slots.filter(({ closed }) => !closed).length
  }

  /** Those that live, by number. */
  get workers(): WorkerProcess[] {
    return this.#slots
      .flatMap(({ processes }) => processes)
      .sort((one, other) => one.number - other.number)
  }

  find(number: number): WorkerProcess | undefined {
    return this.workers.find((worker) => worker.number === number)
  }

  /** Takes back what a worker has not begun of the requests up to `lastId`; resolves with a test for those. */
  async recall(number: number, lastId: number): Promise<(id: number) => boolean> {
    const recalled = await this.find(number)?.watchdog?.recall(lastId)
    return (id) => recalled !== undefined && isRecalled(id, recalled)
  }

  /**
   * Starts all, behind `setup`; resolves when the last is ready. What else is asked for meanwhile has its turn after that.
   *
   * @throws WorkerBootError, what fork or `setup` throws; DrainingError when it is stopped meanwhile
   */
  start(setup: () => unknown): Promise<void> {
    return this.#inTurn(async () => {
      await setup()
      this.#assertOpen()
      await Promise.all(this.#slots.map((slot) => slot.start()))
    })
  }

  /** A worker says that it is ready. @throws DrainingError when it is to end */
  ready(number: number): void {
    const worker = this.find(number)
    if (worker?.state === 'ready' || worker?.state === 'suspect') return
    if (worker === undefined || worker.isToEnd || !worker.move('ready'))
      throw new DrainingError(`Worker ${number} can't get ready: it is to end`)
    this.#router.setState(number, 'ready')
    this.#watches.set(worker, this.#watch(worker))
    this.#options.events.ready(worker)
  }

  /** A worker tells of the error that is about to end it: it gets no more work. */
  failing(number: number, error: string): void {
    const worker = this.find(number)
    if (worker === undefined) return
    worker.crashed(error)
    worker.move('draining')
    this.#unwatch(worker)
    this.#router.setState(number, 'draining')
    // Nobody else watches it any more, and what it runs at its exit may never end.
    const late = () => worker.kill({ kind: 'crashed', text: error })
    worker.exited.then(this.clock.after(LAST_GRACE, late))
  }

  /** A worker asks to be let go. */
  retire(number: number): void {
    const worker = this.find(number)
    const slot = worker && this.#slotOf(worker)
    if (slot === undefined || worker === undefined || worker.isToEnd || this.#stopped) return
    const { error: tell } = this.#options.events
    slot.retire(worker).catch((error: unknown) => tell(error, `${worker} could not be let go`))
  }

  /**
   * Puts a new worker in each place, one after the other, each before the old one goes.
   *
   * @param begins told when it is this reload's turn
   * @throws WorkerBootError, at the first that does not get ready: those not replaced by then go on. DrainingError
   */
  reload(begins: (generation: number) => void): Promise<void> {
    return this.#inTurn(async () => {
      begins(++this.#generation)
      for (const slot of this.#slots) {
        this.#assertOpen()
        await slot.replace()
      }
    })
  }

  /** Makes them more or fewer. @throws WorkerBootError when a new one does not get ready: there are then as many as before. DrainingError */
  scale(size: number): Promise<void> {
    return this.#inTurn(async () => {
      const more = Array.from({ length: size - this.size }, () => new Slot(this))
      this.#slots = [...this.#slots, ...more]
      try {
        await Promise.all(more.map((slot) => slot.start()))
      } catch (error) {
        await this.#remove(more)
        throw error
      }
      await this.#remove(leastUseful(this.#slots, this.size - size))
    })
  }

  /** Starts no worker any more. Those that live go on. */
  stop(): void {
    this.#stopped = true
    for (const slot of this.#slots) slot.stop()
  }

  /** Lets all that live finish, as the cluster's end begins. @returns them, and when each has drained */
  drainAll(graceMs: number): readonly Promise<void>[] {
    return this.workers.map((worker) => {
      this.#tellDraining(worker)
      return this.ending.drain(worker, graceMs)
    })
  }

  killAll(): void {
    for (const worker of this.workers) worker.kill({ kind: 'told', text: 'all were to end' })
  }

  fork(restarts: number): WorkerProcess {
    const { clock, fork, maxFrameBytes } = this.#options
    const generation = this.#generation
    const worker = new WorkerProcess(fork, { clock, generation, restarts, maxFrameBytes })
    const left = (reason: Error | undefined) => void worker.linkEnded(reason)
    if (worker.link !== undefined) this.#router.attach(worker.number, worker.link, { left })
    return worker
  }

  forked(worker: WorkerProcess): void {
    this.#options.events.forked(worker)
  }

  async end(worker: WorkerProcess): Promise<void> {
    const { clock, drainTimeout } = this.#options
    const deadline = clock.now() + drainTimeout
    if (this.#tellDraining(worker)) this.#router.setState(worker.number, 'draining')
    await this.ending.drain(worker, drainTimeout)
    await this.ending.finish(worker, deadline)
  }

  exited(worker: WorkerProcess, exit: WorkerExit): void {
    this.#unwatch(worker)
    this.#options.events.exited(worker, exit)
  }

  failed(error: unknown): void {
    this.#options.events.error(error, 'a worker could not be started again')
  }

  rests(): void {
    const resting = this.#slots.filter((slot) => slot.resting && !slot.closed)
    this.#options.events.resting(resting.length)
  }

  /** A worker that has begun something is to finish that. Whether it has been told so now. */
  #tellDraining(worker: WorkerProcess): boolean {
    const told = worker.state !== 'booting' && worker.move('draining')
    if (told) this.#options.events.draining(worker)
    return told
  }

  /** One at a time: each begins when the one before is over, however that ended. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(async () => {
      this.#assertOpen()
      try {
        return await run()
      } catch (error) {
        // A worker that boots when the cluster is closed does not get ready. That is not its fault.
        this.#assertOpen()
        throw error
      }
    })
    this.#lastTurn = turn.catch(() => {}) // Its caller is told.
    return turn
  }

  #assertOpen(): void {
    if (this.#stopped) throw new DrainingError('The cluster is being closed')
  }

  async #remove(slots: readonly Slot[]): Promise<void> {
    for (const slot of slots) slot.stop()
    if (this.#slots.some(({ resting }) => resting)) this.rests()
    await Promise.all(slots.flatMap(({ processes }) => processes).map((one) => this.end(one)))
    this.#slots = this.#slots.filter((slot) => !slots.includes(slot))
  }

  #watch(worker: WorkerProcess): Watch {
    const { clock, events, liveness, recycle } = this.#options
    const { beat } = this.#clients.create(workerControl, { to: worker.number })
    return new Watch(worker, {
      clock,
      liveness,
      recycle,
      beat: () => beat(),
      suspect: (silentMs) => {
        this.#router.setState(worker.number, 'suspect')
        events.suspect(worker, silentMs)
      },
      recovered: () => {
        this.#router.setState(worker.number, 'ready')
        events.recovered(worker)
      },
      vitals: ({ utilization }) => {
        const member = this.#router.peer.directory.get(worker.number)
        if (member !== undefined) member.utilization = utilization
      },
      stuck: (silentMs, report) => events.stuck(worker, silentMs, report),
      unfit: (reason) => {
        events.recycle(worker, reason)
        this.#recycle(worker)
      },
    })
  }

  #unwatch(worker: WorkerProcess): void {
    this.#watches.get(worker)?.stop()
    this.#watches.delete(worker)
  }

  #recycle(worker: WorkerProcess): void {
    this.#inTurn(async () => {
      const slot = this.#slotOf(worker)
      if (slot?.worker === worker) await slot.replace()
    }).catch((error: unknown) => {
      if (!this.#stopped) this.#options.events.error(error, `${worker} could not be replaced`)
    })
  }

  #slotOf(worker: WorkerProcess): Slot | undefined {
    return this.#slots.find(({ processes }) => processes.includes(worker))
  }
}
