// What the command line tells its user, in single lines: at the start, and of each thing that happens in the cluster's life.

import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { WorkerBootError } from '@clusterwire/core'
import type { MainThreadReport, Primary } from '@clusterwire/core/cluster'

/** Prints one line. */
export type Print = (line: string) => void

/** What the banner says. */
export interface Banner {
  readonly version: string
  /** The app's path, as it was given. */
  readonly app: string
  readonly workers: number
  readonly pid: number
  readonly node: string
  readonly watch: boolean
  readonly inspect: boolean
}

/** The lines that stand above everything else. */
export function bannerLines({
  version,
  app,
  workers,
  pid,
  node,
  watch,
  inspect,
}: Banner): string[] {
  const count = `${workers} ${workers === 1 ? 'worker' : 'workers'}`
  const lines = [`clusterwire ${version}: ${app} in ${count}, pid ${pid}, node ${node}`]
  if (watch) lines.push('watching for changes')
  if (inspect)
    lines.push('each worker prints the address of its debugger; see them all at chrome://inspect')
  return lines
}

/** `http://localhost:3000` for an address that can be connected to from here. */
export function urlOf({ address, family, port }: AddressInfo): string {
  const isAny = address === '::' || address === '0.0.0.0'
  const host = isAny ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}

/** Tells of a cluster's life from now on. */
export function reportLife({ events }: Primary, print: Print, folder: string): void {
  const place = (report: MainThreadReport) => placeOf(report, folder)
  events.on('worker.exit', ({ number, pid }, { reason, expected, kind }) => {
    if (!expected) print(`worker ${number} (pid ${pid ?? 'none'}) ${reason}${hint(kind)}`)
  })
  events.on('worker.suspect', ({ number }, { silentMs }) =>
    print(
      `worker ${number} has not answered for ${Math.round(silentMs)} ms: it gets no new requests`,
    ),
  )
  events.on('worker.recovered', ({ number }) => print(`worker ${number} answers again`))
  events.on('worker.stuck', ({ number, pid }, { silentMs, report }) =>
    print(
      `worker ${number} (pid ${pid}) is stuck: no answer for ${Math.round(silentMs)} ms${place(report)}`,
    ),
  )
  events.on('worker.recycle', ({ number }, { reason }) =>
    print(`worker ${number} is replaced: ${reason}`),
  )
  events.on('worker.ready', ({ number, pid, restarts, generation }) => {
    if (restarts > 0) print(`worker ${number} (pid ${pid}) is ready in its place`)
    else if (generation > 0) print(`worker ${number} (pid ${pid}) is ready with the new code`)
  })
  events.on('degraded', ({ resting, workers }) =>
    print(`${resting} of ${workers} places have failed too often, and are left alone for a while`),
  )
  events.on('recovered', () => print('all places are in use again'))
  events.on('reload.start', () => print('reloading'))
  events.on('reload.done', () => print('reloaded'))
  events.on('reload.aborted', ({ error }) =>
    print(`not reloaded${why(error)}: the old code goes on`),
  )
}

/** Why workers did not start, where that has not been told as a worker's exit. */
export function why(error: unknown): string {
  if (error instanceof WorkerBootError) return ''
  return ` (${error instanceof Error ? error.message : String(error)})`
}

function placeOf(report: MainThreadReport, folder: string): string {
  if (report.state === 'native') return ', in native code'
  if (report.state !== 'running') return ''
  const own = report.stack.find(({ file }) => path.isAbsolute(file)) ?? report.stack[0]
  if (own === undefined) return ''
  const file = path.isAbsolute(own.file) ? path.relative(folder, own.file) : own.file
  return `, in ${own.functionName || 'a function without a name'} (${file}:${own.line})`
}

function hint(kind: string): string {
  return kind === 'boot-timeout' ? '; an app is ready when it listens: has it called listen()?' : ''
}
