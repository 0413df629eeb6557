// Tests of single faults, named after their row in the fault matrix, which note what they have seen for docs/faults.md.

import { appendFileSync } from 'node:fs'
import { test } from 'vitest'

/** What one fault did. */
export interface FaultRecord {
  /** Calls (or requests) in flight when it struck. */
  readonly calls: number
  /** How they settled: how many by each outcome, `answered` or an error's code. */
  readonly settled: Readonly<Record<string, number>>
  /** Milliseconds from the fault until everything was as before. */
  readonly recoveredMs?: number | undefined
  /** What else a reader should know, in a few words. */
  readonly note?: string | undefined
}

/** A test of one row. `run` is to record what it saw, once, when all of its expectations have held. */
export function fault(
  row: string,
  what: string,
  run: (record: (seen: FaultRecord) => void) => Promise<void>,
): void {
  test(`${row}: ${what}`, async () => {
    let seen: FaultRecord | undefined
    await run((record) => {
      seen = record
    })
    if (seen === undefined) throw new Error('It recorded nothing')
    const file = process.env.CLUSTERWIRE_FAULTS
    if (file !== undefined) appendFileSync(file, `${JSON.stringify({ row, what, ...seen })}\n`)
  })
}

/** Counts outcomes: `answered` for what was fulfilled, else the error's code. */
export function tally(results: readonly PromiseSettledResult<unknown>[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const result of results) {
    const outcome =
      result.status === 'fulfilled'
        ? 'answered'
        : String((result.reason as { readonly code?: unknown }).code ?? result.reason)
    counts[outcome] = (counts[outcome] ?? 0) + 1
  }
  return counts
}
