// Runs the command line as a user does.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { until } from './cluster.js'

const BIN = fileURLToPath(
  new URL('../../packages/http-adapter/bin/clusterwire.js', import.meta.url),
)

/** How to run it. */
export interface CliOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Options of Node itself. */
  readonly execArgv?: readonly string[]
  /** Whether it has a terminal, whose output is then in `stdout`. */
  readonly terminal?: boolean
}

/** A command line that runs, or has. */
export class Cli {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], { cwd, env, execArgv = [], terminal }: CliOptions = {}) {
    const line = [process.execPath, ...execArgv, BIN, ...args]
    const inTerminal = ['script', '-qefc', `stty rows 24 cols 100; ${line.join(' ')}`, '/dev/null']
    const [command = '', ...rest] = terminal ? inTerminal : line
    this.child = spawn(command, rest, {
      ...(cwd !== undefined && { cwd }),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    // With its output, all processes have ended.
    this.exited = once(this.child, 'close').then(([code]) => code)
    onTestFinished(async () => {
      if (this.child.exitCode === null) this.child.kill('SIGKILL')
      await this.exited
    })
  }

  /** Resolves with the first match in what it has said on stderr. */
  said(what: RegExp): Promise<RegExpExecArray> {
    return until(`${what} in ${this.stderr}`, () => what.exec(this.stderr))
  }

  /** Resolves when the workers are ready, with the port that they listen on. */
  async ready(): Promise<number> {
    await this.said(/ready in \d+ ms/)
    return Number((await this.said(/listening on http:\/\/127\.0\.0\.1:(\d+)/))[1])
  }
}
