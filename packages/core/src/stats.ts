// What a peer has done since its start: how many calls, how they ended, how long they took.

import { OWN_NAMES } from './contract.js'
import { Histogram, type HistogramData, type LatencySummary } from './histogram.js'

/** One procedure's (or stream's) numbers, on their way to another process. */
export interface ProcedureData {
  /** Those that did not succeed, by the code of their error. */
  readonly errors: Readonly<Record<string, number>>
  /** How long each took that succeeded. */
  readonly latency: HistogramData
}

/** A peer's numbers on their way to another process, by the procedure's full name. */
export interface PeerData {
  readonly calls: Readonly<Record<string, ProcedureData>>
  readonly served: Readonly<Record<string, ProcedureData>>
  readonly late: number
  readonly violations: number
}

/** One procedure's (or stream's) numbers. */
export interface ProcedureStats {
  /** How many there were. */
  readonly count: number
  /** Those that did not succeed, by the code of their error. */
  readonly errors: Readonly<Record<string, number>>
  /** How long those took that succeeded: from the call to its answer at a caller; from the request to its answer where it was served. */
  readonly latency: LatencySummary
}

/** A peer's numbers. */
export interface PeerStats {
  /** What it has called, by the procedure's full name. */
  readonly calls: Readonly<Record<string, ProcedureStats>>
  /** What it has answered. */
  readonly served: Readonly<Record<string, ProcedureStats>>
  /** Answers that came after their call had ended. */
  readonly late: number
  /** Frames of other workers that broke the protocol. */
  readonly violations: number
}

/** How many codes one procedure's errors are told apart by; all others count as `OTHER`. */
const MAX_CODES = 64

/** One procedure's counters. */
export class Tally {
  readonly #errors = new Map<string, number>()
  readonly #latency = new Histogram()

  succeeded(ms: number): void {
    this.#latency.record(ms)
  }

  get count(): number {
    return [...this.#errors.values()].reduce((sum, count) => sum + count, this.#latency.count)
  }

  /** @param code of its error */
  failed(code: string): void {
    // Another process may send any codes at all.
    const known = this.#errors.size < MAX_CODES || this.#errors.has(code) ? code : 'OTHER'
    this.#errors.set(known, (this.#errors.get(known) ?? 0) + 1)
  }

  add({ errors, latency }: ProcedureData): void {
    for (const [code, count] of Object.entries(errors))
      this.#errors.set(code, (this.#errors.get(code) ?? 0) + count)
    this.#latency.add(latency)
  }

  toData(): ProcedureData {
    return { errors: Object.fromEntries(this.#errors), latency: this.#latency.toData() }
  }

  summary(): ProcedureStats {
    return {
      count: this.count,
      errors: Object.fromEntries(this.#errors),
      latency: this.#latency.summary(),
    }
  }
}

/** A peer's counters. */
export class Stats {
  readonly #calls = new Map<string, Tally>()
  readonly #served = new Map<string, Tally>()

  /** The counters of what is called under this name. */
  calls(procedure: string): Tally {
    return tallyOf(this.#calls, procedure)
  }

  /** The counters of what is answered under this name. */
  served(procedure: string): Tally {
    return tallyOf(this.#served, procedure)
  }

  add({ calls, served }: Pick<PeerData, 'calls' | 'served'>): void {
    for (const [name, data] of Object.entries(calls)) this.calls(name).add(data)
    for (const [name, data] of Object.entries(served)) this.served(name).add(data)
  }

  toData(): Pick<PeerData, 'calls' | 'served'> {
    return {
      calls: mapValues(this.#calls, (tally) => tally.toData()),
      served: mapValues(this.#served, (tally) => tally.toData()),
    }
  }

  summary(): Pick<PeerStats, 'calls' | 'served'> {
    return {
      calls: mapValues(this.#calls, (tally) => tally.summary()),
      served: mapValues(this.#served, (tally) => tally.summary()),
    }
  }
}

function tallyOf(tallies: Map<string, Tally>, procedure: string): Tally {
  let tally = tallies.get(procedure)
  if (tally === undefined) {
    tally = new Tally()
    tallies.set(procedure, tally)
  }
  return tally
}

/** Without Clusterwire's own procedures, and those that nobody has used. */
function mapValues<T extends object>(
  tallies: ReadonlyMap<string, Tally>,
  make: (tally: Tally) => T,
): Record<string, T> {
  const users = [...tallies].filter(
    ([name, tally]) => !name.startsWith(OWN_NAMES) && tally.count > 0,
  )
  return Object.fromEntries(users.map(([name, tally]) => [name, make(tally)]))
}
