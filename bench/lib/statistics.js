// From the measurements of all rounds to what is reported: medians, spreads and ratios.

export const OURS = 'clusterwire'

const FIELDS = ['opsPerSec', 'cpuMicrosPerOp', 'p50Micros', 'p99Micros']

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** One row of the result: the median of each figure over the rounds. */
export function rowOf(contestant, name, rounds) {
  const row = { contestant, case: name }
  for (const field of FIELDS) {
    const values = rounds.map((one) => one[field])
    // Not everything has a latency.
    row[field] = values.includes(null) ? null : round(median(values))
  }
  return row
}

/** `{ "<case>/<contestant>": clusterwire ÷ contestant }` of one figure, from the medians. */
export function ratiosOf(rows, field = 'opsPerSec') {
  const ratios = {}
  for (const row of rows) {
    const ours = rows.find((one) => one.case === row.case && one.contestant === OURS)
    if (ours === undefined || ours === row) continue
    ratios[`${row.case}/${row.contestant}`] = round(ours[field] / row[field])
  }
  return ratios
}

/** The smallest and the largest value. */
export function spread(values) {
  return [Math.min(...values), Math.max(...values)]
}

/** Four digits: more than any of these figures deserves. */
function round(value) {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : null
}
