// The command line, understood.

import { parseArgs } from 'node:util'
import type { Balancer } from '../balancer/balancer.js'
import { random2 } from '../balancer/random2.js'
import { sticky } from '../balancer/sticky.js'
import { leastPending, roundRobin } from '../balancer/turns.js'

/** What the command line asks for. */
export interface CliOptions {
  /** The app, as it was given. */
  readonly app: string
  /** What the app finds in `process.argv`. */
  readonly args: readonly string[]
  /** `undefined`: one for each core. */
  readonly workers: number | undefined
  /** Goes to the app as the variable PORT. */
  readonly port: number | undefined
  readonly balance: () => Balancer
  readonly watch: boolean
  readonly inspect: boolean
  readonly status: boolean
}

/** A command line that can't be understood. The message is for its user. */
export class UsageError extends Error {}

const BALANCERS: ReadonlyMap<string, () => Balancer> = new Map([
  ['least-pending', leastPending],
  ['round-robin', roundRobin],
  ['random2', () => random2()],
  ['sticky', () => sticky({ cookie: 'clusterwire' })],
])

/** What `--help` prints. */
export const HELP: string = `Usage: clusterwire [options] <app> [arguments of the app] [-- more arguments of the app]

Runs an app that listens by itself (node:http, Express, Fastify, Koa, Nest, …), unchanged, in many processes.

  --workers <n|auto>   processes that run the app; auto is one for each core (default: auto)
  --port <n>           given to the app as the variable PORT
  --balance <policy>   who gets each request: ${[...BALANCERS.keys()].join(', ')} (default: least-pending)
  --watch              for development: reloads the workers when a file beside the app changes
  --inspect            lets a debugger attach, to each worker on a port of its own
  --no-status          no status line; there is none either when the output is no terminal
  --help, --version

Options of Node itself stand before: node --import tsx node_modules/.bin/clusterwire app.ts
Ctrl-C lets running requests finish; a second one ends them. SIGHUP reloads the workers without a failed request.
Exit codes: 0 stopped, 1 failed or had to be ended by force, 2 wrong usage, 3 the app did not start.
`

/**
 * Reads a command line, which is `process.argv` without its first two.
 *
 * @returns the options, or what else was asked for
 * @throws UsageError
 */
export function parseCommandLine(argv: readonly string[]): CliOptions | 'help' | 'version' {
  const { values, positionals } = parse(argv)
  if (values.help) return 'help'
  if (values.version) return 'version'
  const [app, ...args] = positionals
  if (app === undefined) throw new UsageError('Which app? Give its file: clusterwire app.js')
  const balance = BALANCERS.get(values.balance ?? 'least-pending')
  if (balance === undefined)
    throw new UsageError(
      `--balance ${values.balance}: there are ${[...BALANCERS.keys()].join(', ')}`,
    )
  return {
    app,
    args,
    workers: workersOf(values.workers ?? 'auto'),
    port: values.port === undefined ? undefined : wholeNumber('--port', values.port, 0, 65_535),
    balance,
    watch: values.watch ?? false,
    inspect: values.inspect ?? false,
    status: values.status ?? true,
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      allowNegative: true,
      options: {
        workers: { type: 'string', short: 'w' },
        port: { type: 'string' },
        balance: { type: 'string' },
        watch: { type: 'boolean' },
        inspect: { type: 'boolean' },
        status: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function workersOf(value: string): number | undefined {
  return value === 'auto' ? undefined : wholeNumber('--workers', value, 1, 1_024, ' or auto')
}

function wholeNumber(name: string, text: string, min: number, max: number, or = ''): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`${name} ${text}: a whole number from ${min} to ${max}${or} is allowed`)
}
