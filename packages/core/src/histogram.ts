// How long things took: counts by size of the time, in little memory and without a calculation that shows in a profile.

/** How many buckets each doubling has: a value is told to within an eighth. */
const STEPS = 8
const STEP_BITS = 3

/** The longest time that is told apart: 2^31 microseconds, 36 minutes. */
const LONGEST = 2 ** 31 - 1

const BUCKETS = (31 - STEP_BITS + 1) * STEPS

/** A histogram on its way to another process: index and count of each bucket that has any. */
export interface HistogramData {
  readonly buckets: readonly (readonly [index: number, count: number])[]
  /** Milliseconds, all together, and the longest. */
  readonly sum: number
  readonly max: number
}

/** A histogram in words. All times in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** Times in buckets that are an eighth of their size wide: log-linear, as HdrHistogram has it (G. Tene, hdrhistogram.org). */
export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS)
  #count = 0
  #sum = 0
  #max = 0

  get count(): number {
    return this.#count
  }

  /** Milliseconds, all together. */
  get sum(): number {
    return this.#sum
  }

  /** @param ms milliseconds */
  record(ms: number): void {
    const index = bucketOf(ms)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#count++
    this.#sum += ms
    if (ms > this.#max) this.#max = ms
  }

  /** Adds what another has counted. */
  add({ buckets, sum, max }: HistogramData): void {
    for (const [index, count] of buckets) {
      this.#counts[index] = (this.#counts[index] ?? 0) + count
      this.#count += count
    }
    this.#sum += sum
    this.#max = Math.max(this.#max, max)
  }

  toData(): HistogramData {
    const buckets: (readonly [number, number])[] = []
    for (const [index, count] of this.#counts.entries()) if (count > 0) buckets.push([index, count])
    return { buckets, sum: this.#sum, max: this.#max }
  }

  /** The time that this share of all values does not exceed, to within an eighth; 0 without any. @param share 0 to 1 */
  percentile(share: number): number {
    let left = Math.ceil(this.#count * share)
    for (const [index, count] of this.#counts.entries()) {
      left -= count
      if (count > 0 && left <= 0) return Math.min(endOf(index), this.#max)
    }
    return this.#max
  }

  /** How many values do not exceed this time: exactly, where it is a power of two of a microsecond, else those in the buckets below it. @param ms */
  countUpTo(ms: number): number {
    const below = bucketOf(ms)
    let count = 0
    for (let index = 0; index < below; index++) count += this.#counts[index] as number
    return count
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      p50: this.percentile(0.5),
      p90: this.percentile(0.9),
      p99: this.percentile(0.99),
      max: this.#max,
    }
  }
}

function bucketOf(ms: number): number {
  const micros = Math.min(LONGEST, ms * 1_000) | 0
  if (micros < STEPS) return micros < 0 ? 0 : micros
  const exponent = 31 - Math.clz32(micros)
  return (exponent - STEP_BITS + 1) * STEPS + ((micros >> (exponent - STEP_BITS)) & (STEPS - 1))
}

/** Where a bucket ends, in milliseconds. */
function endOf(index: number): number {
  if (index < STEPS) return (index + 1) / 1_000
  const exponent = Math.floor(index / STEPS) + STEP_BITS - 1
  return ((STEPS + (index % STEPS) + 1) * 2 ** (exponent - STEP_BITS)) / 1_000
}
