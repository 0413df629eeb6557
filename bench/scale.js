// Does a call cost the same in a large cluster, and under a large contract? The primary calls workers whose links are memory, all inside this
// process: no scheduler and no socket, so that what grows with the size is ours.

import { contract, procedure } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { z } from 'zod'
import { drive } from './lib/load.js'
import { readOptions } from './lib/options.js'
import { finish, printHeading, resultOf } from './lib/report.js'
import { median, OURS } from './lib/statistics.js'
import { short, table } from './lib/table.js'
import { ourVersion } from './lib/versions.js'

/** What grows, while the other stays at its first size. The primary is a peer, too. */
const SIZES = { peers: [2, 4, 16, 64, 256], procedures: [1, 10, 100, 1000, 10_000] }
const input = { sku: 'a1', quantity: 2 }

const options = readOptions()

/** A contract of so many procedures, all with the same schemas: as many different ones would be a benchmark of zod. */
function contractOf(procedures) {
  const quote = procedure({
    input: z.object({ sku: z.string(), quantity: z.int().positive() }),
    output: z.object({ cents: z.int() }),
  })
  const names = Array.from({ length: procedures }, (_, i) => `quote${i}`)
  return contract('pricing', Object.fromEntries(names.map((name) => [name, quote])))
}

/** A cluster whose primary calls each procedure in its turn. */
async function clusterOf({ peers, procedures }) {
  const pricing = contractOf(procedures)
  const names = Object.keys(pricing)
  const mesh = await createMemoryMesh({ workers: peers - 1, callSites: false })
  const handler = ({ quantity }) => ({ cents: quantity * 21 })
  for (const worker of mesh.workers) {
    worker.serve(pricing, Object.fromEntries(names.map((name) => [name, handler])))
    await worker.ready()
  }
  const client = mesh.primary.client(pricing)
  const methods = names.map((name) => client[name])
  let turn = 0
  return {
    call: (value) => methods[turn++ % procedures](value),
    close: () => mesh.close(),
  }
}

async function measure(cluster, load) {
  const before = process.cpuUsage()
  const { ops, seconds, ...latency } = await drive(cluster.call, load)
  const { user, system } = process.cpuUsage(before)
  return { opsPerSec: ops / seconds, cpuMicrosPerOp: (user + system) / ops, ...latency }
}

/** As many calls at a time for each worker, however many there are: what a link gets to carry at once decides about the cost of a call, too. */
const PER_WORKER = [1, 4]

function casesOf(dimension) {
  return SIZES[dimension]
    .flatMap((size) =>
      PER_WORKER.map((perWorker) => {
        const cluster = { peers: 2, procedures: 1, [dimension]: size }
        const inFlight = perWorker * (cluster.peers - 1)
        const name = `${size} ${dimension}, ${perWorker} in flight for each worker`
        return { name, cluster, dimension, size, perWorker, inFlight }
      }),
    )
    .filter(({ name }) => options.cases?.some((start) => name.startsWith(start)) ?? true)
}

/** All sizes take part in each round, each round in another order. */
async function measureAll(cases) {
  const measurements = new Map(cases.map(({ name }) => [name, new Map([[OURS, []]])]))
  const clusters = new Map()
  for (const { cluster } of cases) {
    const key = JSON.stringify(cluster)
    if (!clusters.has(key)) clusters.set(key, await clusterOf(cluster))
  }
  const milliseconds = options.seconds * 1000
  for (let round = -1; round < options.rounds; round++)
    for (const one of rotated(cases, round + 1)) {
      const cluster = clusters.get(JSON.stringify(one.cluster))
      const result = await measure(cluster, { inFlight: one.inFlight, milliseconds, input })
      // The first round warms up.
      if (round >= 0) measurements.get(one.name).get(OURS).push(result)
    }
  for (const cluster of clusters.values()) await cluster.close()
  return measurements
}

function rotated(list, by) {
  const first = by % (list.length || 1)
  return [...list.slice(first), ...list.slice(0, first)]
}

/** For each dimension by how many percent the CPU time of a call is off the median of all sizes, at most. */
function deviationsOf(cases, rows) {
  const deviations = {}
  for (const dimension of Object.keys(SIZES)) {
    const of = PER_WORKER.flatMap((perWorker) => {
      const costs = cases
        .filter((one) => one.dimension === dimension && one.perWorker === perWorker)
        .map(({ name }) => rows.find((row) => row.case === name).cpuMicrosPerOp)
      return costs.map((cost) => 100 * Math.abs(cost / median(costs) - 1))
    })
    if (of.length > 0) deviations[dimension] = Math.max(...of)
  }
  return deviations
}

const cases = Object.keys(SIZES).flatMap(casesOf)
printHeading(
  'scale: a call from the primary to one of many workers, links in memory, validated on both ends',
  `${options.rounds} interleaved rounds of ${options.seconds} s`,
)
const run = { measurements: await measureAll(cases), versions: { [OURS]: ourVersion() } }
const result = resultOf('scale', run)
for (const dimension of Object.keys(SIZES)) {
  console.log(`\n## by the number of ${dimension}`)
  console.log(
    table(
      [' case', 'ops/s', 'CPU µs/op', 'p50 µs', 'p99 µs'],
      cases
        .filter((one) => one.dimension === dimension)
        .map(({ name }) => {
          const row = result.rows.find((one) => one.case === name)
          return [
            name,
            ...[row.opsPerSec, row.cpuMicrosPerOp, row.p50Micros, row.p99Micros].map(short),
          ]
        }),
    ),
  )
}
finish({ ...result, deviations: deviationsOf(cases, result.rows) }, options)
