// Keeps so many workers alive: each slot has one worker, and after its end the next.

import { WorkerBootError } from '../errors.js'
import { Backoff } from './backoff.js'
import type { Router } from './router.js'
import { bootError, type ForkOptions, type WorkerExit, WorkerProcess } from './supervisor.js'

/** A worker that lived this long did not fail because of how it was started, in milliseconds: the next one starts at once. */
const STABLE_AFTER = 10_000

/** How workers are started, and who is told of their lives. */
export interface PoolOptions {
  readonly size: number
  readonly fork: ForkOptions
  /** Milliseconds from fork to ready. */
  readonly bootTimeout: number
  readonly maxFrameBytes: number | undefined
  readonly onReady: (worker: WorkerProcess) => void
  readonly onExit: (worker: WorkerProcess, exit: WorkerExit) => void
  /** A worker could not be started again; the next attempt is on its way. */
  readonly onError: (error: unknown) => void
}

/** The workers of one cluster. */
export class WorkerPool {
  readonly #router: Router
  readonly #options: PoolOptions
  readonly #slots: Slot[]
  #stopped = false

  constructor(router: Router, options: PoolOptions) {
    this.#router = router
    this.#options = options
    this.#slots = Array.from({ length: options.size }, () => new Slot(this))
  }

  get options(): PoolOptions {
    return this.#options
  }

  get router(): Router {
    return this.#router
  }

  /** Whether no worker is to be started any more. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Those that live, by number. */
  get workers(): WorkerProcess[] {
    return this.#slots
      .flatMap(({ worker }) => worker ?? [])
      .sort((one, other) => one.number - other.number)
  }

  find(number: number): WorkerProcess | undefined {
    return this.workers.find((worker) => worker.number === number)
  }

  /** Starts all; resolves when the last is ready. @throws WorkerBootError, or what fork throws */
  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.launch()))
  }

  /** A worker has said that it is ready. Whether it was the first time. */
  ready(worker: WorkerProcess): boolean {
    if (worker.state !== 'booting') return false
    worker.state = 'ready'
    this.#router.setState(worker.number, 'ready')
    worker.becameReady()
    this.#options.onReady(worker)
    return true
  }

  /** Starts no worker any more. Those that live go on. */
  stop(): void {
    this.#stopped = true
    for (const slot of this.#slots) slot.stop()
  }

  killAll(): void {
    for (const worker of this.workers) worker.kill('SIGKILL')
  }
}

/** One place in the pool. */
class Slot {
  worker: WorkerProcess | undefined
  readonly #pool: WorkerPool
  readonly #backoff = new Backoff()
  #timer: NodeJS.Timeout | undefined

  constructor(pool: WorkerPool) {
    this.#pool = pool
  }

  /** Starts a worker; resolves when it is ready. */
  async launch(): Promise<void> {
    const { options, router } = this.#pool
    const { bootTimeout, fork, maxFrameBytes } = options
    const worker = new WorkerProcess(fork, maxFrameBytes)
    this.worker = worker
    if (worker.link)
      router.attach(worker.number, worker.link, { left: (reason) => worker.linkEnded(reason) })
    const timer = setTimeout(
      () => worker.kill('SIGKILL', new Error(`it took more than ${bootTimeout} ms`)),
      bootTimeout,
    )
    const exited = worker.exited.then((exit) => {
      this.#exited(worker, exit)
      throw bootError(worker, fork.exec, exit.reason)
    })
    await Promise.race([worker.ready, exited]).finally(() => clearTimeout(timer))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #exited(worker: WorkerProcess, exit: WorkerExit): void {
    const lived = performance.now() - worker.startedAt
    const failed = worker.state === 'booting' || lived < STABLE_AFTER
    worker.state = 'dead'
    this.worker = undefined
    this.#restart(failed)
    this.#pool.options.onExit(worker, exit)
  }

  /** Starts the next worker: at once, or later the more often the last ones have failed. */
  #restart(failed: boolean): void {
    if (this.#pool.stopped) return
    const delay = failed ? this.#backoff.next(performance.now()) : 0
    this.#timer = setTimeout(() => this.#relaunch(), delay)
  }

  async #relaunch(): Promise<void> {
    try {
      await this.launch()
    } catch (error) {
      if (this.#pool.stopped) return
      this.#pool.options.onError(error)
      // When fork itself failed there is no process whose end would bring the next attempt.
      if (!(error instanceof WorkerBootError)) this.#restart(true)
    }
  }
}
