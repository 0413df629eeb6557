// One place in the pool: it has one worker, and after that one's end the next. While a worker is being replaced, it has two.

import { DrainingError, WorkerBootError } from '../errors.js'
import type { Clock } from '../transport.js'
import type { WorkerExit } from './exit.js'
import { type RestartOptions, Restarts } from './restarts.js'
import type { WorkerProcess } from './worker-process.js'

/** What a slot needs of its pool. */
export interface SlotOwner {
  readonly clock: Clock
  readonly restarts: RestartOptions
  /** Milliseconds from fork to ready. */
  readonly bootTimeout: number
  /** The module that workers run, for messages. */
  readonly exec: string
  /** Starts a process and attaches its link. @param restarts how many here have failed before. @throws what fork throws */
  fork(restarts: number): WorkerProcess
  /** It has begun to boot. */
  forked(worker: WorkerProcess): void
  /** Lets a worker finish, and ends it. */
  end(worker: WorkerProcess): Promise<void>
  /** A process has ended. */
  exited(worker: WorkerProcess, exit: WorkerExit): void
  /** A worker could not be started again. The next attempt is on its way. */
  failed(error: unknown): void
  /** It has failed too often, or works again. */
  rests(): void
}

/** One place. */
export class Slot {
  readonly #owner: SlotOwner
  readonly #restarts: Restarts
  readonly #processes = new Set<WorkerProcess>()
  #worker: WorkerProcess | undefined
  /** Boots, to take the other's place. */
  #next: WorkerProcess | undefined
  #cancelRestart: () => void = () => {}
  /** Starts for the first time: whoever waits for that is told when it fails. */
  #starting = false
  #resting = false
  #closed = false

  constructor(owner: SlotOwner) {
    this.#owner = owner
    this.#restarts = new Restarts(owner.restarts)
  }

  /** The worker that serves, or boots where there was none. */
  get worker(): WorkerProcess | undefined {
    return this.#worker
  }

  /** All its processes that live: those that drain, too. */
  get processes(): WorkerProcess[] {
    return [...this.#processes]
  }

  /** Whether it has failed so often that it is left alone for a while. */
  get resting(): boolean {
    return this.#resting
  }

  /** Whether no worker is to be started here any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** Starts its first worker; resolves when that is ready. @throws WorkerBootError, what fork throws; then it is not tried again */
  async start(): Promise<void> {
    this.#starting = true
    try {
      await this.#launch()
    } finally {
      this.#starting = false
    }
  }

  /** Starts a worker in place of the one that there is, which goes on until the other is ready. @throws as `start`; then nothing has changed */
  async replace(): Promise<void> {
    this.#cancelRestart()
    const old = this.#worker
    try {
      this.#next = this.#fork()
      await this.#boot(this.#next)
      await this.#proof(this.#next)
      this.#worker = this.#next
    } catch (error) {
      // The old one may have died meanwhile, or before.
      if (this.#worker === undefined) this.#restart()
      throw error
    } finally {
      this.#next = undefined
    }
    this.#rest(false)
    if (old !== undefined) await this.#owner.end(old)
  }

  /** Lets a worker finish and end; another is started at once. One that still boots has failed to. */
  async retire(worker: WorkerProcess): Promise<void> {
    if (worker.state !== 'booting' && worker === this.#worker) {
      this.#worker = undefined
      if (this.#next === undefined) this.#again(0)
    }
    await this.#owner.end(worker)
  }

  /** Starts no worker here any more. Those that live go on. */
  stop(): void {
    this.#closed = true
    this.#cancelRestart()
  }

  async #launch(): Promise<void> {
    this.#worker = this.#fork()
    await this.#boot(this.#worker)
    this.#rest(false)
  }

  #fork(): WorkerProcess {
    if (this.#closed) throw new DrainingError('No worker is to be started here any more')
    const worker = this.#owner.fork(this.#restarts.total)
    this.#processes.add(worker)
    worker.exited.then((exit) => this.#exited(worker, exit))
    return worker
  }

  async #boot(worker: WorkerProcess): Promise<void> {
    const { bootTimeout, clock, exec } = this.#owner
    const late = { kind: 'boot-timeout', text: `it took more than ${bootTimeout} ms` } as const
    const cancel = clock.after(bootTimeout, () => worker.kill(late))
    this.#owner.forked(worker)
    const ended = worker.exited.then(({ reason }) => {
      throw new WorkerBootError(
        `${worker} ${reason}, before it was ready; see what ${exec} has printed, and make sure that it calls joinCluster() and then worker.ready()`,
      )
    })
    await Promise.race([worker.ready, ended]).finally(cancel)
  }

  /** Before another worker goes for it: it has lived long enough to answer a heartbeat, and has not been let go meanwhile. */
  async #proof(worker: WorkerProcess): Promise<void> {
    const ended = worker.exited.then(({ reason }) => {
      throw new WorkerBootError(`${worker} ${reason}, as soon as it was ready`)
    })
    await Promise.race([worker.proven, ended])
    if (worker.isToEnd)
      throw new WorkerBootError(`${worker} was told to end, as soon as it was ready`)
  }

  #exited(worker: WorkerProcess, exit: WorkerExit): void {
    worker.move('dead')
    this.#processes.delete(worker)
    const served = this.#worker === worker
    if (served) this.#worker = undefined
    this.#owner.exited(worker, exit)
    // Of one that was to take the place of another, whoever waits for it is told.
    if (served && this.#next === undefined && !this.#starting) this.#restart()
  }

  /** Starts the next worker: the later, the more often the last ones have failed. */
  #restart(): void {
    if (this.#closed) return
    const { clock, restarts } = this.#owner
    const delay = this.#restarts.next(clock.now())
    if (delay === undefined) this.#rest(true)
    this.#again(delay ?? restarts.window)
  }

  #again(delay: number): void {
    if (this.#closed) return
    this.#cancelRestart = this.#owner.clock.after(delay, () => this.#relaunch())
  }

  async #relaunch(): Promise<void> {
    try {
      await this.#launch()
    } catch (error) {
      // Another one may have taken its place while it was booting.
      if (this.#closed || this.#worker !== undefined) return
      this.#owner.failed(error)
      // When fork itself failed there is no process whose end would bring the next attempt.
      if (!(error instanceof WorkerBootError)) this.#restart()
    }
  }

  #rest(resting: boolean): void {
    if (this.#resting === resting) return
    this.#resting = resting
    this.#owner.rests()
  }
}

/** So many places to give up: first those that rest, then those without a ready worker, then the youngest. */
export function leastUseful(slots: readonly Slot[], count: number): readonly Slot[] {
  const rank = ({ resting, worker }: Slot) => (resting ? 0 : worker?.state === 'ready' ? 2 : 1)
  return slots
    .filter(({ closed }) => !closed)
    .reverse()
    .sort((one, other) => rank(one) - rank(other))
    .slice(0, Math.max(0, count))
}
