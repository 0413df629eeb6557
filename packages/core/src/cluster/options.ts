// What `startPrimary` is given, checked: each error says what was given and what is allowed.

import { fileURLToPath } from 'node:url'
import { InvalidOptionError } from '../errors.js'
import type { LivenessOptions } from './heartbeat.js'
import { printError } from './process.js'
import type { RecycleOptions } from './recycle.js'
import type { RestartOptions } from './restarts.js'

/** How a cluster is started. */
export interface ClusterOptions {
  /** The module that each worker runs. */
  readonly exec: URL | string
  /** How many workers. Default: one for each core */
  readonly workers?: number | undefined
  /** Arguments that each worker finds in `process.argv`. Default none */
  readonly args?: readonly string[] | undefined
  /** Options of Node itself for each worker. Default: the primary's own */
  readonly execArgv?: readonly string[] | undefined
  /** Variables added to each worker's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Milliseconds from fork to `worker.ready()`; a worker that takes longer is killed. Default 30 000 */
  readonly bootTimeout?: number | undefined
  /** Milliseconds that a worker which is replaced or let go may take to finish what it has begun. Default 25 000 */
  readonly drainTimeout?: number | undefined
  /** Milliseconds that `close()` gives requests that are running; workers that are not done then are killed. Default 25 000 */
  readonly shutdownTimeout?: number | undefined
  /** When a worker that does not answer is suspect, and when it is ended. */
  readonly liveness?: Partial<LivenessOptions> | undefined
  /**
   * How often workers may fail: 5 times in 30 s in one place, by default; with the next time that place is left alone for 30 s. When all of
   * them are, `crashLoop` says what follows.
   */
  readonly restarts?: Partial<RestartOptions> | undefined
  /**
   * What follows when every place in the cluster has failed too often: `exit` closes the cluster and ends the process with code 1; with `wait`,
   * calls fail with `NO_WORKER` at once until a worker starts well again. Default `exit`
   */
  readonly crashLoop?: 'exit' | 'wait' | undefined
  /** When workers are replaced before they do harm. Default: only one whose handlers never end */
  readonly recycle?: RecycleOptions | undefined
  /**
   * Whether each worker has a watchdog thread: it tells what a stuck worker was doing, and ends a blocked one whose primary is gone. It takes
   * some 8 MiB of memory. Default `true`
   */
  readonly watchdog?: boolean | undefined
  /**
   * Whether signals to this process are the cluster's: SIGINT and SIGTERM drain it and end the process with code 0 (a second one ends it at
   * once), SIGHUP reloads it, and an error that nothing catches closes it before the process ends with code 1. Default `true`
   */
  readonly signals?: boolean | undefined
  /** The largest message, in bytes; the workers must be given the same. Default 16 MiB */
  readonly maxFrameBytes?: number | undefined
  /**
   * Whether the error of a failed call shows the line that made the call. It costs some microseconds with every call.
   * Default: when NODE_ENV is "development"
   */
  readonly callSites?: boolean | undefined
  /** Gets what a subscriber or an event's listener in the primary throws. Default: prints it on stderr */
  readonly onError?: ((error: unknown, where: string) => void) | undefined
}

/** The same with nothing left open. */
export interface CheckedOptions {
  readonly exec: string
  readonly workers: number
  readonly args: readonly string[]
  readonly execArgv: readonly string[] | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly bootTimeout: number
  readonly drainTimeout: number
  readonly shutdownTimeout: number
  readonly liveness: LivenessOptions
  readonly restarts: RestartOptions
  readonly crashLoop: 'exit' | 'wait'
  readonly recycle: RecycleOptions
  readonly watchdog: boolean
  readonly signals: boolean
  readonly maxFrameBytes: number | undefined
  readonly callSites: boolean | undefined
  readonly onError: (error: unknown, where: string) => void
}

const MAX_WORKERS = 1_024

/** The longest time: a week. What is added to it on the way still fits into a timer. */
const MAX_MS = 7 * 24 * 3_600 * 1_000

const NAMES: ReadonlySet<string> = new Set(
  'exec workers args execArgv env bootTimeout drainTimeout shutdownTimeout liveness restarts crashLoop recycle watchdog signals setup maxFrameBytes callSites onError'.split(
    ' ',
  ),
)

/** The options that are objects, and what they may have. */
const LIMITS = {
  liveness: ['interval', 'suspectAfter', 'stuckAfter'],
  restarts: ['maxRestarts', 'window'],
  recycle: ['maxRss', 'maxAge', 'maxRequests', 'maxAbandoned'],
} as const

/** Checks options. Throws InvalidOptionError. */
export function checkOptions(options: ClusterOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null)
    throw new InvalidOptionError(
      `startPrimary(options): an object with at least { exec } is needed, got ${show(options)}`,
    )
  const { callSites, execArgv, maxFrameBytes } = options
  for (const name of Object.keys(options))
    refuseUnless(
      NAMES.has(name),
      `startPrimary({ ${name} }): there is no such option; there are ${[...NAMES].join(', ')}`,
    )
  for (const [name, limits] of Object.entries(LIMITS))
    checkLimits(name, options[name as keyof typeof LIMITS], limits)
  const checked: CheckedOptions = {
    exec: pathOf(options.exec),
    // Loaded here, as a worker has no use for it.
    workers: options.workers ?? process.getBuiltinModule('node:os').availableParallelism(),
    args: options.args ?? [],
    execArgv,
    env: options.env ?? {},
    bootTimeout: options.bootTimeout ?? 30_000,
    drainTimeout: options.drainTimeout ?? 25_000,
    shutdownTimeout: options.shutdownTimeout ?? 25_000,
    liveness: {
      interval: options.liveness?.interval ?? 1_000,
      suspectAfter: options.liveness?.suspectAfter ?? 2_000,
      stuckAfter: options.liveness?.stuckAfter ?? 10_000,
    },
    restarts: {
      maxRestarts: options.restarts?.maxRestarts ?? 5,
      window: options.restarts?.window ?? 30_000,
    },
    crashLoop: options.crashLoop ?? 'exit',
    recycle: options.recycle ?? {},
    watchdog: options.watchdog ?? true,
    signals: options.signals ?? true,
    maxFrameBytes,
    callSites,
    onError: options.onError ?? printError,
  }
  checkWorkers(checked.workers, 'startPrimary({ workers })')
  checkTimes(checked)
  checkRecycle(checked.recycle)
  checkKinds(checked)
  return { ...checked, onError: harmless(checked.onError) }
}

/** What is told of errors must not make another one, in the middle of whatever went wrong: that one is printed, with the first. */
function harmless(onError: CheckedOptions['onError']): CheckedOptions['onError'] {
  return (error, where) => {
    const failed = (thrown: unknown) => {
      printError(error, where)
      printError(thrown, 'onError, which was told of that')
    }
    // It may be asynchronous, and reject.
    new Promise((resolve) => resolve(onError(error, where))).catch(failed)
  }
}

/** @param where what was called, for the message. @throws InvalidOptionError */
export function checkWorkers(workers: unknown, where: string): void {
  refuseUnless(
    Number.isInteger(workers) && (workers as number) >= 1 && (workers as number) <= MAX_WORKERS,
    `${where}: a whole number from 1 to ${MAX_WORKERS} is allowed, got ${show(workers)}`,
  )
}

function checkTimes({
  bootTimeout,
  drainTimeout,
  shutdownTimeout,
  liveness,
  restarts,
}: CheckedOptions): void {
  const { interval, suspectAfter, stuckAfter } = liveness
  const times = {
    bootTimeout,
    drainTimeout,
    shutdownTimeout,
    'liveness.interval': interval,
    'liveness.suspectAfter': suspectAfter,
    'liveness.stuckAfter': stuckAfter,
    'restarts.window': restarts.window,
  }
  for (const [name, value] of Object.entries(times))
    refuseUnless(
      typeof value === 'number' && value > 0 && value <= MAX_MS,
      `startPrimary({ ${name} }): milliseconds, more than 0 and at most ${MAX_MS}, are allowed, got ${show(value)}`,
    )
  refuseUnless(
    interval <= suspectAfter && suspectAfter <= stuckAfter,
    `startPrimary({ liveness }): interval (${interval}), suspectAfter (${suspectAfter}) and stuckAfter (${stuckAfter}) must not be in falling order`,
  )
  refuseUnless(
    Number.isInteger(restarts.maxRestarts) && restarts.maxRestarts >= 0,
    `startPrimary({ restarts.maxRestarts }): a whole number, 0 or more, is allowed, got ${show(restarts.maxRestarts)}`,
  )
}

function checkLimits(name: string, given: unknown, limits: readonly string[]): void {
  if (given === undefined || given === null) return
  refuseUnless(
    typeof given === 'object',
    `startPrimary({ ${name} }): an object of limits is allowed, got ${show(given)}`,
  )
  const unknown = Object.keys(given as object).find((limit) => !limits.includes(limit))
  refuseUnless(
    unknown === undefined,
    `startPrimary({ ${name}.${unknown} }): there is no such limit; there are ${limits.join(', ')}`,
  )
}

function checkRecycle(recycle: RecycleOptions): void {
  for (const [name, value] of Object.entries(recycle))
    refuseUnless(
      value === undefined || (typeof value === 'number' && value > 0),
      `startPrimary({ recycle.${name} }): a number, more than 0, is allowed, got ${show(value)}`,
    )
}

function checkKinds({
  args,
  execArgv,
  env,
  crashLoop,
  signals,
  watchdog,
  onError,
  maxFrameBytes,
  callSites = false,
}: CheckedOptions): void {
  const isTexts = (value: unknown) =>
    Array.isArray(value) && value.every((item) => typeof item === 'string')
  refuseUnless(
    isTexts(args),
    `startPrimary({ args }): a list of texts is allowed, got ${show(args)}`,
  )
  refuseUnless(
    execArgv === undefined || isTexts(execArgv),
    `startPrimary({ execArgv }): a list of texts is allowed, got ${show(execArgv)}`,
  )
  refuseUnless(
    typeof env === 'object' && env !== null && !Array.isArray(env),
    `startPrimary({ env }): an object of variables is allowed, got ${show(env)}`,
  )
  refuseUnless(
    crashLoop === 'exit' || crashLoop === 'wait',
    `startPrimary({ crashLoop }): "exit" or "wait" is allowed, got ${show(crashLoop)}`,
  )
  for (const [name, value] of Object.entries({ signals, watchdog, callSites }))
    refuseUnless(
      typeof value === 'boolean',
      `startPrimary({ ${name} }): true or false is allowed, got ${show(value)}`,
    )
  checkFunction('onError', onError)
  refuseUnless(
    maxFrameBytes === undefined ||
      (Number.isInteger(maxFrameBytes) && maxFrameBytes >= 1_024 && maxFrameBytes < 2 ** 30),
    `startPrimary({ maxFrameBytes }): bytes, 1 024 or more and less than 2^30, are allowed, got ${show(maxFrameBytes)}`,
  )
}

/** @throws InvalidOptionError */
export function checkFunction(name: string, value: unknown): void {
  refuseUnless(
    typeof value === 'function',
    `startPrimary({ ${name} }): a function is allowed, got ${show(value)}`,
  )
}

function pathOf(exec: URL | string): string {
  refuseUnless(
    exec instanceof URL || (typeof exec === 'string' && exec !== ''),
    `startPrimary({ exec }): the module that each worker runs is needed, a file URL or a path, got ${show(exec)}`,
  )
  if (typeof exec === 'string' && !exec.startsWith('file:')) return exec
  const url = new URL(exec)
  refuseUnless(
    url.protocol === 'file:' && url.host === '',
    `startPrimary({ exec }): a path or a file URL of this machine is allowed, got ${url.href}`,
  )
  return fileURLToPath(url)
}

function refuseUnless(fits: boolean, message: string): void {
  if (!fits) throw new InvalidOptionError(message)
}

function show(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
