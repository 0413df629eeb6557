// What does it cost to tell all workers something, and to know that they have heard it? And what does one more worker cost?

import { contract, topic } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { z } from 'zod'
import { runBenchmark } from './lib/benchmark.js'
import { readOptions } from './lib/options.js'
import { finish } from './lib/report.js'
import { OURS } from './lib/statistics.js'
import { short, table } from './lib/table.js'

const input = { sku: 'a1', cents: 1299 }
const IN_FLIGHT = 16

const options = readOptions()
const caseOf = (workers, inFlight) => `to ${workers} workers, ${inFlight} in flight`

/**
 * How many workers, and how long they run before they are measured: each has to compile its part, on two cores that all of them share. With less,
 * whoever has more code of its own pays for the compiler. 32 processes take seconds to start, so they are started once.
 */
const SIZES = [
  { workers: 2 },
  { workers: 8, warmUp: 3 },
  { workers: 32, warmUp: 6, starts: 1, notQuick: true },
]

const result = await runBenchmark(
  {
    name: 'broadcast',
    title: '{ sku, cents } to all workers, awaited until each has applied it; ours validated',
    groups: SIZES.map(({ workers, notQuick, ...rest }) => ({
      contestants: 'broadcast',
      workers,
      ...rest,
      // The case that makes the most calls comes first, for the same reason.
      cases: [IN_FLIGHT, 1].map((inFlight) => ({
        name: caseOf(workers, inFlight),
        inFlight,
        input,
        notQuick,
      })),
    })),
  },
  options,
)
const furtherWorker = costOfFurtherWorker(result)
if (furtherWorker) printFurtherWorker(furtherWorker)
finish({ ...result, furtherWorker, encodings: await countEncodings() }, options)

/** From the smallest to the largest number of workers: the CPU time of one more, in all processes together, its own included. */
function costOfFurtherWorker({ rows }) {
  const cpuOf = (contestant, workers) =>
    rows.find((row) => row.contestant === contestant && row.case === caseOf(workers, IN_FLIGHT))
      ?.cpuMicrosPerOp
  const [from, ...more] = SIZES.map(({ workers }) => workers).filter((workers) =>
    cpuOf(OURS, workers),
  )
  const to = more.at(-1)
  if (to === undefined) return undefined
  const cpuMicros = {}
  const ratios = {}
  for (const contestant of new Set(rows.map((row) => row.contestant))) {
    cpuMicros[contestant] = (cpuOf(contestant, to) - cpuOf(contestant, from)) / (to - from)
    if (contestant !== OURS) ratios[contestant] = cpuMicros[OURS] / cpuMicros[contestant]
  }
  return { from, to, cpuMicros, ratios }
}

function printFurtherWorker({ from, to, cpuMicros, ratios }) {
  console.log(`\n## one further worker (${from} to ${to}, ${IN_FLIGHT} in flight)`)
  console.log(
    table(
      [' contestant', 'CPU µs per broadcast', 'ours ÷ it'],
      Object.entries(cpuMicros).map(([contestant, cost]) => [
        contestant,
        short(cost),
        contestant === OURS ? '' : short(ratios[contestant]),
      ]),
    ),
  )
}

/** How often a value is encoded for so many workers: by how often a field of it is read, compared with one worker. Links in memory suffice. */
async function countEncodings() {
  const prices = contract('prices', { changed: topic(z.any()) })
  const readsFor = async (workers) => {
    const mesh = await createMemoryMesh({ workers })
    for (const worker of mesh.workers) {
      worker.subscribe(prices.changed, () => {})
      await worker.ready()
    }
    let reads = 0
    const value = {
      get cents() {
        reads++
        return 1299
      },
    }
    await mesh.primary.broadcast(prices.changed, value)
    await mesh.close()
    return reads
  }
  const one = await readsFor(1)
  const encodings = {}
  for (const { workers } of SIZES) encodings[workers] = (await readsFor(workers)) / one
  return encodings
}
