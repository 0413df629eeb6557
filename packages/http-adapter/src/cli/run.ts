// `clusterwire app.js`: starts the app in workers, tells what happens, and reloads it when it changes.

import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import type { WriteStream } from 'node:tty'
import { type Primary, type PrimaryOptions, startPrimary } from '@clusterwire/core/cluster'
import { type TransparentFront, transparentFront } from '../transparent/transparent-front.js'
import { type CliOptions, HELP, parseCommandLine, UsageError } from './options.js'
import { bannerLines, type Print, reportLife, urlOf, why } from './report.js'
import { showStatus } from './status.js'
import { watchCode } from './watch.js'

/** What the executable knows of its package. */
export interface Installation {
  readonly version: string
  /** The URL of the module that makes apps listen through the primary. */
  readonly register: string
}

/** Exit codes; those of a running cluster are the core's. */
const WRONG_USAGE = 2
const BOOT_FAILED = 3

/** Runs a command line, `process.argv` without its first two. The process ends when the cluster does. */
export async function run(argv: readonly string[], installation: Installation): Promise<void> {
  const options = understand(argv)
  if (options === 'help') return void process.stdout.write(HELP)
  if (options === 'version') return void process.stdout.write(`${installation.version}\n`)
  if (options instanceof UsageError) {
    print(`${options.message}. See clusterwire --help`)
    process.exitCode = WRONG_USAGE
    return
  }
  await start(options, installation)
}

/** Everything that the command line itself says goes to stderr: stdout is the app's. */
const print: Print = (line) => void process.stderr.write(`[clusterwire] ${line}\n`)

function understand(argv: readonly string[]): ReturnType<typeof parseCommandLine> | UsageError {
  try {
    const options = parseCommandLine(argv)
    return typeof options === 'string' ? options : { ...options, app: find(options.app) }
  } catch (error) {
    if (error instanceof UsageError) return error
    throw error
  }
}

/** The app's file, as Node itself would find it: with or without its extension. */
function find(app: string): string {
  const file = path.resolve(app)
  try {
    return createRequire(file).resolve(file)
  } catch {
    throw new UsageError(`There is no ${file}`)
  }
}

async function start(options: CliOptions, installation: Installation): Promise<void> {
  const { app, watch, inspect } = options
  const workers = options.workers ?? availableParallelism()
  const shown = path.relative(process.cwd(), app)
  const { pid, version: node } = process
  for (const line of bannerLines({
    ...{ version: installation.version, app: shown, workers, pid, node, watch, inspect },
  }))
    print(line)
  const began = performance.now()
  const code = watch ? new Changes(path.dirname(app)) : undefined
  let front: TransparentFront | undefined
  const primary = await startWhenItWorks(code, {
    ...clusterOptions(options, workers, installation),
    setup(starting) {
      reportLife(starting, print, process.cwd())
      front = transparentFront(starting, {
        balance: options.balance(),
        onListening: (address) => print(`listening on ${urlOf(address)}`),
        onReleased: (address) => print(`no longer listening on ${urlOf(address)}`),
      })
    },
  })
  if (primary === undefined) return
  print(`ready in ${Math.round(performance.now() - began)} ms`)
  const hide = canShowStatus(options)
    ? showStatus(process.stderr as WriteStream, { primary, front: front as TransparentFront })
    : () => {}
  primary.events.once('closing', () => {
    print('stopping: running requests may finish; Ctrl-C ends them')
    hide()
    code?.stop()
  })
  if (code !== undefined) await reloadAtChanges(primary, code)
}

function clusterOptions(
  { app, args, port, inspect, watch }: CliOptions,
  workers: number,
  { register }: Installation,
): PrimaryOptions {
  return {
    exec: app,
    args,
    workers,
    execArgv: [...process.execArgv, ...(inspect ? ['--inspect'] : []), '--import', register],
    env: port === undefined ? {} : { PORT: String(port) },
    // Whoever works on the app is about to change it.
    crashLoop: watch ? 'wait' : 'exit',
  }
}

/** Starts the cluster; while somebody works on the app, again at each change until it starts. */
async function startWhenItWorks(
  code: Changes | undefined,
  options: PrimaryOptions,
): Promise<Primary | undefined> {
  for (;;) {
    try {
      return await startPrimary(options)
    } catch (error) {
      print(`the app did not start${why(error)}`)
      if (code === undefined) {
        process.exitCode = BOOT_FAILED
        return undefined
      }
      print('waiting for a change')
      await code.next()
    }
  }
}

async function reloadAtChanges(primary: Primary, code: Changes): Promise<void> {
  for (let file = await code.next(); file !== undefined; file = await code.next()) {
    print(`${file} has changed`)
    // What came of it is told by the events.
    await primary.reload().catch(() => {})
  }
}

/** Changes of code, one after the other; those that come while one is dealt with are one. */
class Changes {
  #changed: string | undefined
  #wake: (() => void) | undefined
  #stopped = false
  readonly #unwatch: () => void

  constructor(folder: string) {
    this.#unwatch = watchCode(folder, (file) => {
      this.#changed = file
      this.#wake?.()
    })
  }

  /** Resolves with the file that changed last, `undefined` when nobody watches any more. */
  async next(): Promise<string | undefined> {
    while (this.#changed === undefined && !this.#stopped)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    const file = this.#changed
    this.#changed = undefined
    return this.#stopped ? undefined : file
  }

  stop(): void {
    this.#stopped = true
    this.#unwatch()
    this.#wake?.()
  }
}

/** A line that is drawn again and again belongs on a terminal, and not into a log. */
function canShowStatus({ status }: CliOptions): boolean {
  const { NO_COLOR, CI, TERM } = process.env
  return status && process.stderr.isTTY && !NO_COLOR && !CI && TERM !== 'dumb'
}
