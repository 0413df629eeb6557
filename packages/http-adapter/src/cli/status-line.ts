// The one line at the bottom of a terminal that tells how the cluster is doing. The rest of the terminal scrolls above it, so that
// whatever the app prints, and whenever, stays whole: nobody but the terminal itself has to know of the line.

import type { WorkerState } from '@clusterwire/core/cluster'

/** What the line says. */
export interface StatusFacts {
  readonly requestsPerSecond: number
  /** Milliseconds; `undefined` when there was no request. */
  readonly p50: number | undefined
  readonly p99: number | undefined
  /** Requests that are not answered. */
  readonly pending: number
  readonly workers: readonly WorkerState[]
  /** Workers that have failed since the start. */
  readonly restarts: number
  /** Bytes, of all processes. */
  readonly rss: number
}

/** Puts the facts into words, `columns` characters at most. */
export function renderStatus(facts: StatusFacts, columns: number): string {
  const { requestsPerSecond, p50, p99, pending, restarts, rss } = facts
  const parts = [
    `${Math.round(requestsPerSecond)} req/s`,
    `p50 ${milliseconds(p50)}`,
    `p99 ${milliseconds(p99)}`,
    `${pending} pending`,
    workersInWords(facts.workers),
    `${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`,
    `${Math.round(rss / 2 ** 20)} MiB`,
  ]
  let line = ''
  for (const part of parts) {
    const longer = line === '' ? part : `${line} · ${part}`
    if (longer.length > columns) break
    line = longer
  }
  return line
}

/** The escape sequences that put a line at the bottom; the cursor stays where it is. */
export function drawAtBottom(line: string, rows: number): string {
  return `\u001b7\u001b[${rows};1H\u001b[2K\u001b[7m${line}\u001b[27m\u001b8`
}

/** Gives the last row to the line: everything else scrolls above it. */
export function reserveBottom(rows: number): string {
  // The new line makes room when the cursor is in the last row. Setting the region moves the cursor, so it is kept and put back.
  return `\n\u001b[1A\u001b7\u001b[1;${rows - 1}r\u001b8`
}

/** Gives the row back. */
export function releaseBottom(rows: number): string {
  return `\u001b7\u001b[r\u001b[${rows};1H\u001b[2K\u001b8`
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return '–'
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`
}

const ORDER: readonly WorkerState[] = ['ready', 'booting', 'suspect', 'draining']

function workersInWords(states: readonly WorkerState[]): string {
  const counts = ORDER.map((state) => ({ state, count: states.filter((s) => s === state).length }))
  const words = counts
    .filter(({ count }) => count > 0)
    .map(({ state, count }) => `${count} ${state}`)
  return words.length === 0 ? 'no workers' : words.join(', ')
}
