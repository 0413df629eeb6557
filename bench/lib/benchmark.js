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

const HEADINGS = { opsPerSec: '', p99Micros: 'p99: ' }

/**
 * @typedef {object} Group cases that the same contestants run, with the same number of workers
 * @property {string} contestants the folder of bench/contestants that they are in
 * @property {number} workers
 * @property {Case[]} cases
 * @property {string[]} [only] the names of those that take part. Default: all of the folder
 * @property {(contestant: Contestant, load: object) => Promise<object>} [measure] puts the load on it. Default: the contestant itself does
 * @property {number} [warmUp] so many times longer than others do these contestants run unmeasured after a start. Default 1
 * @property {string} [compare] what the last columns compare beside the CPU time. Default `opsPerSec`
 *
 * @typedef {object} Case with whatever else `measure` needs
 * @property {string} name
 * @property {number} inFlight
 * @property {number} [times] so many times longer than others is one measurement of it. Default 1
 * @property {boolean} [notQuick] with --quick only when --cases names it
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
  const cases = chosenCases(group, run)
  if (cases.length === 0) return
  // The same code is up to a third faster or slower from one process to the next: where its memory lies, on which core it lives.
  for (let start = 0; start < run.starts; start++) {
    const contestants = await startAll(group, cases, run)
    try {
      for (const one of cases) await runCase(one, contestants, measureOf(group), run)
    } finally {
      await Promise.all(contestants.map((contestant) => contestant.close()))
    }
  }
  for (const { name } of cases) printCase(name, group.compare, run)
}

function chosenCases({ cases }, { cases: starts, quick }) {
  if (starts) return cases.filter(({ name }) => starts.some((start) => name.startsWith(start)))
  const left = quick ? cases.filter(({ notQuick }) => notQuick) : []
  for (const { name } of left) console.log(`Left out with --quick: ${name} (--cases names it)`)
  return cases.filter((one) => !left.includes(one))
}

const warmUpMillis = ({ warmUp = 1 }, { seconds }) => 3000 * warmUp * seconds

const measureOf = ({ measure }) => measure ?? ((contestant, load) => contestant.measure(load))

async function startAll(group, cases, run) {
  // Most calls in the least time. Otherwise the first case, which is the slowest, would be measured while the compiler still works.
  const warmUp = { ...cases[0], inFlight: WARM_UP_CALLS, milliseconds: warmUpMillis(group, run) }
  const execArgv = run.profile
    ? ['--cpu-prof', `--cpu-prof-dir=${path.resolve(run.profile)}`, '--cpu-prof-interval=200']
    : []
  const started = []
  for (const file of filesOf(group, run.contestants)) {
    const contestant = new Contestant(file, group.workers, execArgv)
    try {
      await contestant.start()
      await measureOf(group)(contestant, warmUp)
      started.push(contestant)
      run.versions[contestant.name] = contestant.version
    } catch (error) {
      await contestant.close().catch(() => {})
      console.error(`!!!!!! LEFT OUT: ${error.message}`)
    }
  }
  return started
}

/** Ours first; it is what the others are compared with. */
function filesOf({ contestants: folder, only }, chosen) {
  const directory = path.join(CONTESTANTS, folder)
  const names = readdirSync(directory)
    .filter((file) => file.endsWith('.js'))
    .map((file) => path.basename(file, '.js'))
    .filter((name) => (chosen?.includes(name) ?? true) && (only?.includes(name) ?? true))
    .sort((a, b) => Number(b === OURS) - Number(a === OURS) || (a < b ? -1 : 1))
  return names.map((name) => path.join(directory, `${name}.js`))
}

async function runCase({ name, times = 1, ...rest }, contestants, measure, run) {
  const load = { ...rest, milliseconds: times * run.seconds * 1000 }
  if (!run.measurements.has(name)) run.measurements.set(name, new Map())
  const results = run.measurements.get(name)
  for (const contestant of contestants) {
    if (!results.has(contestant.name)) results.set(contestant.name, [])
    // The first one is thrown away: this case, too, has to be learnt.
    await measure(contestant, load)
  }
  for (let round = 0; round < Math.ceil(run.rounds / run.starts); round++)
    for (const contestant of rotated(contestants, round))
      results.get(contestant.name).push(await measure(contestant, load))
}

/** Each round begins with another contestant: none always runs in the wake of the same one. */
function rotated(list, by) {
  const first = by % (list.length || 1)
  return [...list.slice(first), ...list.slice(0, first)]
}

function printCase(name, compare = 'opsPerSec', { measurements, versions }) {
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
      ratio(ours, rounds, compare),
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
        `${HEADINGS[compare]}ours ÷ it (min..max)`,
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
    p99Ratios: ratiosOf(rows, 'p99Micros'),
    versions,
    rounds,
  }
}
