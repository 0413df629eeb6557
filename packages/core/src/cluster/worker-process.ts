// One worker's life, from fork to exit.
//
//              ┌────silent────▶ suspect ──┐
//   booting ──▶ ready ◀──────answers─┘     ├──▶ draining ──▶ dead
//      └────────────┴──────────────────────┴─────────────────▲   from anywhere

import cluster, { type Worker } from 'node:cluster'
import type { Socket } from 'node:net'
import type { Clock } from '../transport.js'
import { SocketLink } from '../transports/socket.js'
import { type Because, describeExit, type WorkerExit } from './exit.js'
import { type ForkOptions, forkWorker, LINK_FD, WATCHDOG_FD } from './fork.js'
import { takeHandle } from './pipe-handle.js'
import { atMost } from './process.js'
import type { Vitals } from './vitals.js'
import { WatchdogLine } from './watchdog-line.js'

/** Where a worker is in its life. */
export type WorkerState = 'booting' | 'ready' | 'suspect' | 'draining' | 'dead'

const NEXT: Readonly<Record<WorkerState, readonly WorkerState[]>> = {
  booting: ['ready', 'draining', 'dead'],
  ready: ['suspect', 'draining', 'dead'],
  suspect: ['ready', 'draining', 'dead'],
  draining: ['dead'],
  dead: [],
}

/** Milliseconds that a link may take to end after its process has: everything it sent is to be read first. */
const LAST_WORDS = 1_000

/** Milliseconds after the end of its link within which a process that has ended is heard of. */
const NEWS_DELAY = 250

const TOLD: Because = { kind: 'told', text: '' }

/** A worker's process and its link. */
export class WorkerProcess {
  readonly number: number
  readonly startedAt: number
  readonly link: SocketLink | undefined
  /** Tells what its main thread is doing; undefined without a watchdog. */
  readonly watchdog: WatchdogLine | undefined
  /** Which reload it was started by: 0 for those of the start. */
  readonly generation: number
  /** How many workers had failed in its place before it. */
  readonly restarts: number
  /** Resolves when it has said that it is ready. */
  readonly ready: Promise<void>
  /** Resolves when the process has ended and the last frame it sent has been read. */
  readonly exited: Promise<WorkerExit>
  /** Resolves when it has answered its first heartbeat: an error that ends it as it gets ready comes before that. */
  readonly proven: Promise<void>
  #vitals: Vitals | undefined
  #state: WorkerState = 'booting'
  readonly #worker: Worker
  /** Why this process was ended, when it was from here: the first reason counts. */
  #because: Because | undefined
  /** The error that it told of before it ended. */
  #crash: string | undefined
  readonly #ended: Promise<ProcessEnd | WorkerExit>
  #becameReady: () => void = () => {}
  #becameProven: () => void = () => {}
  #linkEnded: () => void = () => {}

  /** @throws what fork throws */
  constructor(
    options: ForkOptions,
    { clock, generation, restarts, maxFrameBytes }: WorkerProcessParts,
  ) {
    const { worker, memory } = forkWorker(options)
    this.#worker = worker
    this.number = this.#worker.id
    this.startedAt = clock.now()
    this.generation = generation
    this.restarts = restarts
    const pipes = this.#worker.process.stdio as readonly (Socket | null | undefined)[] | undefined
    const socket = pipes?.[LINK_FD]
    this.link = socket
      ? new SocketLink(takeHandle(socket) ?? socket, maxFrameBytes, memory)
      : undefined
    if (!socket) memory?.close()
    const line = pipes?.[WATCHDOG_FD]
    this.watchdog = line ? new WatchdogLine(line) : undefined
    this.ready = new Promise((resolve) => {
      this.#becameReady = resolve
    })
    this.proven = new Promise((resolve) => {
      this.#becameProven = resolve
    })
    const linkEnded = new Promise<void>((resolve) => {
      this.#linkEnded = resolve
    })
    if (this.link === undefined) this.#linkEnded()
    this.#ended = endOf(this.#worker)
    this.exited = this.#ended.then(async (end) => {
      await atMost(LAST_WORDS, linkEnded)
      if ('kind' in end) return end
      const told = this.#state === 'draining' && end.signal === null ? TOLD : undefined
      return describeExit(end, this.#because ?? told, this.#crash)
    })
  }

  get pid(): number | undefined {
    return this.#worker.process.pid
  }

  get state(): WorkerState {
    return this.#state
  }

  /** Whether it has been told to end. */
  get isToEnd(): boolean {
    return this.#state === 'draining' || this.#because?.kind === 'told'
  }

  /** Goes on to a state, if that can follow. Node tells of the same thing in several events, and in any order: only the first counts. */
  move(state: WorkerState): boolean {
    if (!NEXT[this.#state].includes(state)) return false
    this.#state = state
    if (state === 'ready') this.#becameReady()
    return true
  }

  /** What it said of itself last. */
  get vitals(): Vitals | undefined {
    return this.#vitals
  }

  /** It has answered a heartbeat. */
  noteVitals(vitals: Vitals): void {
    this.#vitals = vitals
    this.#becameProven()
  }

  /** Ends the process now. `because`: what `exited` will say. */
  kill(because: Because): void {
    this.#because ??= because
    // Without a process, Node would send the signal to process 0: to this one's whole group.
    if (this.pid !== undefined) this.#worker.process.kill('SIGKILL')
  }

  /** It has told of the error that ends it. */
  crashed(error: string): void {
    this.#crash ??= error
  }

  /** Its link has ended. A process without one is of no use, whatever state it is in. */
  async linkEnded(because: Error | undefined): Promise<void> {
    this.#linkEnded()
    if (this.#state === 'draining') return
    // The link ends with the process, and may be heard of first; then what has ended the process is the better reason.
    if (because === undefined && (await atMost(NEWS_DELAY, this.#ended))) return
    this.kill({ kind: 'link', text: because?.message ?? 'its link ended' })
  }

  toString(): string {
    return `worker ${this.number} (pid ${this.pid ?? 'none'})`
  }
}

interface WorkerProcessParts {
  readonly clock: Clock
  readonly generation: number
  readonly restarts: number
  readonly maxFrameBytes: number | undefined
}

type ProcessEnd = Pick<WorkerExit, 'code' | 'signal'>

/** Node tells the end of a process in events whose order differs between versions; the first that is final counts. */
function endOf(worker: Worker): Promise<ProcessEnd | WorkerExit> {
  return new Promise((resolve) => {
    const { process: child } = worker
    child.once('exit', (code, signal) => resolve({ code, signal }))
    // Always there: an 'error' without a listener would end the primary. One without a pid means that there is no process.
    worker.on('error', (error: Error) => {
      if (child.pid !== undefined) return
      // Node waits for an 'exit' that never comes.
      delete cluster.workers?.[worker.id]
      const reason = `could not be started: ${error.message}`
      resolve({ code: null, signal: null, kind: 'not-started', reason })
    })
  })
}
