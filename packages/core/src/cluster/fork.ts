// One fork of node:cluster, with settings of our own.

import cluster, { type ClusterSettings, type Worker } from 'node:cluster'
import { closeSync } from 'node:fs'
import { openSharedFile, SharedMemory } from '../transports/shared-memory.js'

/** How workers are started. */
export interface ForkOptions {
  readonly exec: string
  readonly args: readonly string[]
  readonly execArgv: readonly string[] | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether it has a watchdog thread. */
  readonly watchdog: boolean
}

/** What was forked. */
export interface Forked {
  readonly worker: Worker
  /** The memory that it shares with this process; undefined where there is none. */
  readonly memory: SharedMemory | undefined
}

/** The file descriptors that a worker has besides Node's own: its link, and what its watchdog writes to. */
export const LINK_FD = 4
export const WATCHDOG_FD = 5

/** The environment variables that tell a worker so, and where the memory is that it shares with the primary. */
export const MEMORY_ENV = 'CLUSTERWIRE_MEMORY_FD'
export const LINK_ENV = 'CLUSTERWIRE_LINK_FD'
export const WATCHDOG_ENV = 'CLUSTERWIRE_WATCHDOG_FD'

/** Settings that Clusterwire makes no use of when they are the defaults, or has options for. */
const EXPECTED = new Set(['args', 'exec', 'execArgv', 'silent'])

/** Forks, and leaves the process's settings as they were: it may fork workers of its own. @throws what fork throws */
export function forkWorker({ exec, args, execArgv, env, watchdog }: ForkOptions): Forked {
  const global = cluster as { settings: ClusterSettings }
  const before = global.settings
  global.settings = {}
  const stdio: (string | number)[] = ['inherit', 'inherit', 'inherit', 'ipc', 'pipe']
  if (watchdog) stdio.push('pipe')
  const file = openSharedFile()
  const memoryFd = file === undefined ? undefined : stdio.push(file) - 1
  try {
    cluster.setupPrimary({
      exec,
      args: [...args],
      execArgv: [...(execArgv ?? process.execArgv)],
      stdio,
    } as ClusterSettings)
    const fds = {
      [LINK_ENV]: String(LINK_FD),
      ...(watchdog && { [WATCHDOG_ENV]: String(WATCHDOG_FD) }),
      // Said in any case: what the primary's own environment says holds for another process.
      [MEMORY_ENV]: String(memoryFd ?? ''),
    }
    const worker = cluster.fork({ ...env, ...fds })
    const memory = file === undefined ? undefined : new SharedMemory(file, 'primary')
    return { worker, memory }
  } catch (error) {
    if (file !== undefined) closeSync(file)
    throw error
  } finally {
    global.settings = before
  }
}

/** What another library has set up in `node:cluster` that does not hold for our workers, by name. */
function foreignSettings(): string[] {
  const { silent, ...settings } = cluster.settings as Record<string, unknown>
  const names = Object.keys(settings).filter(
    (name) => !EXPECTED.has(name) && settings[name] !== undefined,
  )
  return silent === true ? [...names, 'silent'] : names
}

/** Says so, when there is any. */
export function warnOfForeignSettings(): void {
  const names = foreignSettings()
  if (names.length > 0)
    process.emitWarning(
      `cluster.setupPrimary() has been called with ${names.join(', ')}, perhaps by another library. Clusterwire's workers are started without that: pass exec, args, execArgv and env to startPrimary()`,
      { type: 'ClusterwireWarning', code: 'CLUSTERWIRE_FOREIGN_SETTINGS' },
    )
}
