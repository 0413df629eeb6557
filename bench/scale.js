// Does a call cost the same in a large cluster, and under a large contract? The primary calls workers whose links are memory, all inside this
// process: no scheduler and no socket, so that what grows with the size is ours.

import { contract, procedure } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { z } from 'zod'
import { drive } from './lib/load.js'
import { readOptions } from './lib/options.js'
import { finish, printHeading, resultOf } from './lib/report.js'
import { rotated } from './lib/rotated.js'
import { median, OURS } from './lib/statistics.js'
import { short, table } from './lib/table.js'

/** What grows, while the other stays at its first size. The primary is a peer, too. */
const SIZES = { peers: [2, 4, 16, 64, 256], procedures: [1, 10, 100, 1000, 10_000] }
/** As many calls at a time for each worker, however many there are: what a link gets to carry at once decides about the cost of a call, too. */
const PER_WORKER = [1, 4]
/** How many procedures of a contract are called, in turn: however many it has, a program is at a few of them at any time. */
const CALLED = 16
const input = { sku: 'a1', quantity: 2 }

const CONTROL = 'clusters of two'
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

/** A cluster, and the functions that call its procedures. */
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
  const step = Math.max(1, procedures / CALLED)
  const calls = []
  for (let at = 0; at < procedures; at += step) calls.push(client[names[Math.floor(at)]])
  return { calls, close: () => mesh.close() }
}

/**
 * The same number of peers twice: as one cluster, and as many clusters of two. Hundreds of workers in one process miss the processor's
 * caches, as those of a real cluster, each in a process of its own, do not; the second pays for that, too, and for nothing else that grows.
 */
const ARRANGEMENTS = {
  [OURS]: async (size) => [await clusterOf(size)],
  [CONTROL]: ({ peers, procedures }) =>
    Promise.all(Array.from({ length: peers / 2 }, () => clusterOf({ peers: 2, procedures }))),
}

async function arrange(contestant, size) {
  const clusters = await ARRANGEMENTS[contestant](size)
  const calls = clusters.flatMap((cluster) => cluster.calls)
  let turn = 0
  return {
    workers: contestant === OURS ? size.peers - 1 : size.peers / 2,
    call: (value) => calls[turn++ % calls.length](value),
    close: () => Promise.all(clusters.map((cluster) => cluster.close())),
  }
}

async function measure(cluster, load) {
  const before = process.cpuUsage()
  const { ops, seconds, ...latency } = await drive(cluster.call, load)
  const { user, system } = process.cpuUsage(before)
  return { opsPerSec: ops / seconds, cpuMicrosPerOp: (user + system) / ops, ...latency }
}

function casesOf(dimension) {
  return SIZES[dimension]
    .flatMap((size) =>
      PER_WORKER.map((perWorker) => {
        const shape = { peers: 2, procedures: 1, [dimension]: size }
        const name = `${size} ${dimension}, ${perWorker} in flight for each worker`
        return { name, shape, dimension, perWorker }
      }),
    )
    .filter(({ name }) => options.cases?.some((start) => name.startsWith(start)) ?? true)
}

/** All sizes take part in each round, each round in another order. */
async function measureAll(cases) {
  const measurements = new Map(cases.map(({ name }) => [name, new Map()]))
  const arranged = new Map()
  const runs = []
  for (const one of cases)
    for (const contestant of one.dimension === 'peers' ? [OURS, CONTROL] : [OURS]) {
      const key = JSON.stringify([contestant, one.shape])
      if (!arranged.has(key)) arranged.set(key, await arrange(contestant, one.shape))
      const results = []
      measurements.get(one.name).set(contestant, results)
      const cluster = arranged.get(key)
      runs.push({ cluster, inFlight: one.perWorker * cluster.workers, results })
    }
  const milliseconds = options.seconds * 1000
  for (let round = 0; round <= options.rounds; round++)
    for (const { cluster, inFlight, results } of rotated(runs, round)) {
      const result = await measure(cluster, { inFlight, milliseconds, input })
      // The first round warms up.
      if (round > 0) results.push(result)
    }
  for (const cluster of arranged.values()) await cluster.close()
  return measurements
}

/** What a call costs at each size, to be compared with each other: of peers, in CPU time of the same peers in clusters of two. */
function costsOf(cases, rows) {
  const cpu = (name, contestant) =>
    rows.find((row) => row.case === name && row.contestant === contestant)?.cpuMicrosPerOp
  return cases.map(({ name, dimension, perWorker }) => ({
    series: `${dimension}, ${perWorker}`,
    dimension,
    cost: cpu(name, OURS) / (cpu(name, CONTROL) ?? 1),
  }))
}

/** For each dimension by how many percent the cost of a call is off the median of all sizes, at most. */
function deviationsOf(costs) {
  const deviations = {}
  for (const { series, dimension, cost } of costs) {
    const middle = median(costs.filter((one) => one.series === series).map((one) => one.cost))
    const percent = 100 * Math.abs(cost / middle - 1)
    deviations[dimension] = Math.max(deviations[dimension] ?? 0, percent)
  }
  return deviations
}

const cases = Object.keys(SIZES).flatMap(casesOf)
printHeading(
  'scale: a call from the primary to one of many workers, links in memory, validated on both ends',
  `${options.rounds} interleaved rounds of ${options.seconds} s`,
)
const run = { measurements: await measureAll(cases), versions: {} }
const result = resultOf('scale', run)
for (const dimension of Object.keys(SIZES)) {
  console.log(`\n## by the number of ${dimension}`)
  console.log(
    table(
      [' case', 'ops/s', 'CPU µs/op', 'p50 µs', 'p99 µs', 'CPU: ÷ clusters of two'],
      cases
        .filter((one) => one.dimension === dimension)
        .map(({ name }) => {
          const row = result.rows.find((one) => one.case === name && one.contestant === OURS)
          const { opsPerSec, cpuMicrosPerOp, p50Micros, p99Micros } = row
          const ratio = result.cpuRatios[`${name}/${CONTROL}`]
          return [name, ...[opsPerSec, cpuMicrosPerOp, p50Micros, p99Micros, ratio].map(short)]
        }),
    ),
  )
}
finish({ ...result, deviations: deviationsOf(costsOf(cases, result.rows)) }, options)
