// Runs one benchmark from start to report: its contestants side by side, in interleaved rounds, so that whatever else the machine does
// meanwhile hits all of them alike.

import { readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Contestant } from './contestant.js'
import { cpuScope } from './cpu.js'
import { readOptions } from './options.js'
import { median, OURS, ratiosOf, rowOf, spread } from './statistics.js'
import { short, table } from './table.js'

const CONTESTANTS = fileURLToPath(new URL('../contestants/', import.meta.url))

const WARM_UP_CALLS = 64

/**
 * @typedef {object} Group cases that the same contestants run, with the same number of workers
 * @property {string} contestants the folder of bench/contestants that they are in
 * @property {number} workers
 * @property {{ name: string, inFlight: number, input: unknown }[]} cases
 *
 * @param {{ name: string, title: string, groups: Group[] }} benchmark
 */
export async function runBenchmark({ name, title, groups }, options = readOptions()) {
  const { rounds, starts, seconds } = options
  console.log(`\n# ${name}: ${title}`)
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores. Medians of ${rounds} interleaved rounds of ${seconds} s over ${starts} starts; CPU time is that of ${cpuScope}.`,
  )
  const measurements = new Map()
  const versions = {}
  for (const group of groups) await runGroup(group, { ...options, name, measurements, versions })
  const result = resultOf(name, measurements, versions)
  if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`)
  return result
}

async function runGroup(group, run) {
  const cases = group.cases.filter(
    ({ name }) => run.cases?.some((start) => name.startsWith(start)) ?? true,
  )
  if (cases.length === 0) return
  // The same code is up to a third faster or slower from one process to the next: where its memory lies, on which core it lives.
  for (let start = 0; start < run.starts; start++) {
    const contestants = await startAll(group, cases, run)
    try {
      for (const one of cases) await runCase(one, contestants, run)
    } finally {
      await Promise.all(contestants.map((contestant) => contestant.close()))
    }
  }
  for (const { name } of cases) printCase(name, run)
}

async function startAll({ contestants: folder, workers }, cases, run) {
  // Most calls in the least time. Otherwise the first case, which is the slowest, would be measured while the compiler still works.
  const warmUp = { inFlight: WARM_UP_CALLS, input: cases[0].input }
  const execArgv = run.profile
    ? ['--cpu-prof', `--cpu-prof-dir=${path.resolve(run.profile)}`, '--cpu-prof-interval=200']
    : []
  const started = []
  for (const file of filesOf(folder, run.contestants)) {
    const contestant = new Contestant(file, workers, execArgv)
    try {
      started.push(await contestant.start())
      await contestant.measure({ ...warmUp, milliseconds: 3000 * run.seconds })
      run.versions[contestant.name] = contestant.version
    } catch (error) {
      await contestant.close().catch(() => {})
      console.error(`!!!!!! LEFT OUT: ${error.message}`)
    }
  }
  return started
}

/** Ours first; it is what the others are compared with. */
function filesOf(folder, only) {
  const directory = path.join(CONTESTANTS, folder)
  const names = readdirSync(directory)
    .filter((file) => file.endsWith('.js'))
    .map((file) => path.basename(file, '.js'))
    .filter((name) => only?.includes(name) ?? true)
    .sort((a, b) => Number(b === OURS) - Number(a === OURS) || (a < b ? -1 : 1))
  return names.map((name) => path.join(directory, `${name}.js`))
}

async function runCase({ name, inFlight, input }, contestants, run) {
  const load = { inFlight, input, milliseconds: run.seconds * 1000 }
  if (!run.measurements.has(name)) run.measurements.set(name, new Map())
  const results = run.measurements.get(name)
  for (const contestant of contestants) {
    if (!results.has(contestant.name)) results.set(contestant.name, [])
    // The first one is thrown away: this case, too, has to be learnt.
    await contestant.measure(load)
  }
  for (let round = 0; round < Math.ceil(run.rounds / run.starts); round++)
    for (const contestant of rotated(contestants, round))
      results.get(contestant.name).push(await contestant.measure(load))
}

/** Each round begins with another contestant: none always runs in the wake of the same one. */
function rotated(list, by) {
  const first = by % (list.length || 1)
  return [...list.slice(first), ...list.slice(0, first)]
}

function printCase(name, { measurements, versions }) {
  const results = measurements.get(name)
  const ours = results.get(OURS)
  const rows = [...results].map(([contestant, rounds]) => {
    const row = rowOf(contestant, name, rounds)
    const ops = rounds.map((round) => round.opsPerSec)
    const [low, high] = spread(ops)
    return [
      `${contestant} ${versions[contestant] ?? ''}`.trim(),
      short(row.opsPerSec),
      `${short(low)}..${short(high)}`,
      short(row.cpuMicrosPerOp),
      short(row.p50Micros),
      short(row.p99Micros),
      ratio(ours, rounds, 'opsPerSec'),
      ratio(ours, rounds, 'cpuMicrosPerOp'),
    ]
  })
  console.log(`\n## ${name}`)
  console.log(
    table(
      [
        ' contestant',
        'ops/s',
        '(min..max)',
        'CPU µs/op',
        'p50 µs',
        'p99 µs',
        'ours ÷ it (min..max)',
        'CPU: ours ÷ it',
      ],
      rows,
    ),
  )
}

/** Ours by theirs: of the medians, and the extremes of what single rounds gave. */
function ratio(ours, theirs, field) {
  if (ours === undefined || ours === theirs) return ''
  const pairs = ours.map((round, i) => round[field] / theirs[i][field])
  const [low, high] = spread(pairs)
  const of = (rounds) => median(rounds.map((round) => round[field]))
  return `${short(of(ours) / of(theirs))} (${short(low)}..${short(high)})`
}

/** What is written to `--json`. `rounds` holds every measurement that `rows` are the medians of. */
function resultOf(name, measurements, versions) {
  const rows = []
  const rounds = {}
  for (const [one, results] of measurements)
    for (const [contestant, list] of results) {
      rows.push(rowOf(contestant, one, list))
      rounds[`${one}/${contestant}`] = list
    }
  return {
    name,
    node: process.version,
    cpus: availableParallelism(),
    rows,
    ratios: ratiosOf(rows),
    cpuRatios: ratiosOf(rows, 'cpuMicrosPerOp'),
    versions,
    rounds,
  }
}
