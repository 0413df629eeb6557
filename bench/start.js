// What does a start cost? From the start of a program to its last worker's readiness, and the memory that a worker then takes, beside bare
// cluster.fork. Each measurement is a program of its own that starts, is looked at, and ends.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cpuMicros } from './lib/cpu.js'
import { memoryOf, memoryScope } from './lib/memory.js'
import { readOptions } from './lib/options.js'
import { finish, printCase, printHeading, resultOf } from './lib/report.js'
import { rotated } from './lib/rotated.js'
import { median, OURS } from './lib/statistics.js'
import { short, table } from './lib/table.js'
import { ourVersion } from './lib/versions.js'

/** What a worker loads beside what it starts with: nothing, or a small application. */
const CASES = [
  { name: '2 workers', workers: 2, what: 'nothing' },
  { name: '8 workers', workers: 8, what: 'nothing' },
  { name: '8 workers that load Express and zod', workers: 8, what: 'app' },
]
const FORK = 'node-cluster'
/** The least with which a worker can have a watchdog that its own code can't stop. */
const WATCHED = 'cluster-and-thread'

/** Milliseconds after which what a start has set off is over: threads that come up, garbage of loading. */
const SETTLED = 500
/** Milliseconds in which a process ends whose program has. One that nobody reaps, in a container without an init, is there for ever. */
const GONE_WITHIN = 2_000
const GONE_EVERY = 5
const MIB = 2 ** 20

const options = readOptions()
const contestants = [OURS, FORK, WATCHED].filter(
  (one) => options.contestants?.includes(one) ?? true,
)
const cases = CASES.filter(
  ({ name }) => options.cases?.some((start) => name.startsWith(start)) ?? true,
)

/** Starts a contestant's program, looks at it, and ends it. */
async function measure(contestant, { workers, what }) {
  const file = fileURLToPath(new URL(`./contestants/start/${contestant}.js`, import.meta.url))
  const start = performance.now()
  const program = fork(file, [String(workers), what], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = once(program, 'exit')
  const early = ended.then(() => {
    throw new Error(`${file} ended early`)
  })
  const [{ pids }] = await Promise.race([once(program, 'message'), early])
  const millis = performance.now() - start
  const cpu = cpuMicros(program.pid)
  await wait(SETTLED)
  const memory = median(pids.map(memoryOf))
  program.disconnect()
  await ended
  await Promise.all(pids.map(gone))
  return {
    opsPerSec: 1000 / millis,
    cpuMicrosPerOp: cpu,
    p50Micros: millis * 1000,
    p99Micros: null,
    memory,
  }
}

/** Resolves when a process is gone, or is not going to be: what is measured next is to have the cores for itself. */
async function gone(pid) {
  const tries = GONE_WITHIN / GONE_EVERY
  for (let i = 0; i < tries && isThere(pid); i++) await wait(GONE_EVERY)
}

function isThere(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function measureAll(rounds) {
  const measurements = new Map(
    cases.map(({ name }) => [name, new Map(contestants.map((one) => [one, []]))]),
  )
  // The first round fills the disk cache.
  for (let round = 0; round <= rounds; round++)
    for (const one of cases)
      for (const contestant of rotated(contestants, round)) {
        const measured = await measure(contestant, one)
        if (round > 0) measurements.get(one.name).get(contestant).push(measured)
      }
  return measurements
}

/** MiB of one worker, by case: of each contestant, and ours over that of cluster.fork alone. */
function memoryByCase(measurements) {
  const memory = {}
  for (const [name, results] of measurements) {
    memory[name] = {}
    for (const [contestant, list] of results)
      memory[name][contestant] = median(list.map((one) => one.memory)) / MIB
    memory[name].over = memory[name][OURS] - memory[name][FORK]
  }
  return memory
}

printHeading(
  'start: from the start of a program to its last worker’s readiness',
  `${options.rounds} interleaved rounds`,
)
const run = { measurements: await measureAll(options.rounds), versions: { [OURS]: ourVersion() } }
for (const { name } of cases) printCase(name, run, 'p50Micros')

const memory = memoryByCase(run.measurements)
console.log(`\n## memory of one worker, MiB (${memoryScope})`)
console.log(
  table(
    [' case', ...contestants, 'ours − node-cluster'],
    Object.entries(memory).map(([name, { over, ...each }]) => [
      name,
      ...contestants.map((one) => short(each[one])),
      short(over),
    ]),
  ),
)
finish({ ...resultOf('start', run), memory }, options)
