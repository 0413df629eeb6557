// How a worker ends: it is let finish, its link is closed, its process exits; and where that takes too long, by force.

import { Clients } from '../client.js'
import { MAX_TIMEOUT } from '../contract.js'
import type { Clock } from '../transport.js'
import { workerControl } from './control.js'
import { atMost } from './process.js'
import type { Router } from './router.js'
import type { WorkerProcess } from './worker-process.js'

/** Milliseconds that a worker which has drained gets to end its process; and what a kill may take. */
const EXIT_GRACE = 1_000
const KILL_GRACE = 2_000

/** Milliseconds that a worker's word that its time for draining is over may take. */
const ANSWER_GRACE = 500

/** What ending workers needs. */
export interface EndingParts {
  readonly clock: Clock
  readonly router: Router
  /** Told of a process that not even SIGKILL has ended. */
  onError(error: unknown, where: string): void
}

/** Ends workers. */
export class Ending {
  /** Whether one had to be ended by force although it was given time. */
  forced = false
  readonly #parts: EndingParts
  readonly #clients: Clients

  constructor(parts: EndingParts) {
    this.#parts = parts
    this.#clients = new Clients(parts.router.peer)
  }

  /** Lets a worker finish what it has begun; resolves when it has, or when there is nothing to wait for. */
  async drain(worker: WorkerProcess, graceMs: number): Promise<void> {
    // It has begun nothing.
    if (worker.state === 'booting') return this.#force(worker, 'it was still booting')
    const { drain } = this.#clients.create(workerControl, { to: worker.number })
    let done = false
    const drained = drain({ graceMs }, { timeout: MAX_TIMEOUT }).then(
      (answer) => {
        done = answer.done
      },
      () => {
        done = true // It is gone: it died by itself, and when that is known is a matter of chance.
      },
    )
    const answered = await atMost(graceMs + ANSWER_GRACE, drained)
    if (!done) this.forced = true
    if (!answered) this.#force(worker, 'it did not drain in time')
  }

  /** Ends a worker that has drained, which takes no time; by force when it has not ended at `deadline`, on the clock. */
  async finish(worker: WorkerProcess, deadline: number): Promise<void> {
    const { clock, router } = this.#parts
    if (worker.state === 'dead') return
    worker.move('draining')
    router.setState(worker.number, 'draining')
    const grace = Math.max(0, deadline - clock.now()) + EXIT_GRACE
    const cancel = clock.after(grace, () => {
      this.forced = true
      this.#force(worker, 'it did not end in time')
    })
    const ended = Promise.all([worker.link?.close(), worker.exited])
    if (!(await atMost(grace + KILL_GRACE, ended)))
      this.#parts.onError(
        new Error(`${worker} can't be killed; it may be waiting for a device (state D)`),
        'a worker could not be ended',
      )
    cancel()
  }

  #force(worker: WorkerProcess, text: string): void {
    worker.kill({ kind: 'told', text })
  }
}
