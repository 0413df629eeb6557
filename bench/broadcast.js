// What does it cost to tell all workers something, and to know that they have heard it? And what does one more worker cost?

import { writeFileSync } from 'node:fs'
import { runBenchmark } from './lib/benchmark.js'
import { readOptions } from './lib/options.js'
import { OURS } from './lib/statistics.js'
import { short, table } from './lib/table.js'

const input = { sku: 'a1', cents: 1299 }
const IN_FLIGHT = 16

const options = readOptions()
// 32 processes of each contestant take some gigabytes, and their starts some seconds.
const sizes = options.quick ? [2, 8] : [2, 8, 32]
const caseOf = (workers, inFlight) => `to ${workers} workers, ${inFlight} in flight`

const result = await runBenchmark(
  {
    name: 'broadcast',
    title: '{ sku, cents } to all workers, awaited until each has applied it; ours validated',
    groups: sizes.map((workers) => ({
      contestants: 'broadcast',
      workers,
      // Each of them has to learn its part, and they share the cores.
      warmUp: Math.max(1, workers / 4),
      cases: [1, IN_FLIGHT].map((inFlight) => ({
        name: caseOf(workers, inFlight),
        inFlight,
        input,
      })),
    })),
  },
  options,
)
reportFurtherWorker()

/** From the smallest to the largest number of workers: the CPU time of one more, in all processes together, its own included. */
function reportFurtherWorker() {
  const [least, most] = [sizes[0], sizes.at(-1)]
  const cpuOf = (contestant, workers) =>
    result.rows.find(
      (row) => row.contestant === contestant && row.case === caseOf(workers, IN_FLIGHT),
    )?.cpuMicrosPerOp
  const costs = {}
  for (const contestant of new Set(result.rows.map((row) => row.contestant))) {
    const cost = (cpuOf(contestant, most) - cpuOf(contestant, least)) / (most - least)
    if (Number.isFinite(cost)) costs[contestant] = cost
  }
  if (Object.keys(costs).length === 0) return
  const ours = costs[OURS]
  console.log(`\n## one further worker (${least} to ${most}, ${IN_FLIGHT} in flight)`)
  console.log(
    table(
      [' contestant', 'CPU µs per broadcast', 'ours ÷ it'],
      Object.entries(costs).map(([contestant, cost]) => [
        contestant,
        short(cost),
        contestant === OURS ? '' : short(ours / cost),
      ]),
    ),
  )
  if (!options.json) return
  const furtherWorker = { from: least, to: most, cpuMicros: costs }
  writeFileSync(options.json, `${JSON.stringify({ ...result, furtherWorker }, null, 2)}\n`)
}
