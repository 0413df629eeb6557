// Runs one benchmark from start to report: its contestants side by side, in interleaved rounds, so that whatever else the machine does
// meanwhile hits all of them alike.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Contestant } from './contestant.js'
import { readOptions } from './options.js'
import { printCase, printHeading, resultOf } from './report.js'
import { rotated } from './rotated.js'
import { OURS } from './statistics.js'

const CONTESTANTS = fileURLToPath(new URL('../contestants/', import.meta.url))

const WARM_UP_CALLS = 64

/**
 * @typedef {object} Group cases that the same contestants run, with the same number of workers
 * @property {string} contestants the folder of bench/contestants that they are in
 * @property {number} workers
 * @property {Case[]} cases
 * @property {string[]} [only] the names of those that take part. Default: all of the folder
 * @property {(contestant: Contestant, load: object) => Promise<object>} [measure] puts the load on it. Default: the contestant itself does
 * @property {number} [starts] over how many starts its rounds are spread, at most. Default: as many as the options say
 * @property {number} [warmUp] so many times longer than others do these contestants run unmeasured after a start. Default 1
 * @property {string} [compare] what the last columns compare beside the CPU time. Default `opsPerSec`
 *
 * @typedef {object} Case with whatever else `measure` needs
 * @property {string} name
 * @property {number} inFlight
 * @property {number} [times] so many times longer than others is one measurement of it. Default 1
 * @property {number} [learning] for so many times as long as others do contestants run it unmeasured before its rounds. Default 1
 * @property {boolean} [notQuick] with --quick only when --cases names it
 *
 * @param {{ name: string, title: string, groups: Group[] }} benchmark
 * @returns what `resultOf` of report.js makes of it; hand it to `finish`
 */
export async function runBenchmark({ name, title, groups }, options = readOptions()) {
  const { rounds, starts, seconds } = options
  printHeading(
    `${name}: ${title}`,
    `${rounds} interleaved rounds of ${seconds} s over ${starts} starts`,
  )
  const measurements = new Map()
  const versions = {}
  for (const group of groups) await runGroup(group, { ...options, name, measurements, versions })
  return resultOf(name, { measurements, versions })
}

async function runGroup(group, run) {
  const cases = chosenCases(group, run)
  if (cases.length === 0) return
  // The same code is up to a third faster or slower from one process to the next: where its memory lies, on which core it lives.
  const starts = Math.min(run.starts, group.starts ?? run.starts)
  const rounds = Math.ceil(run.rounds / starts)
  for (let start = 0; start < starts; start++) {
    const contestants = await startAll(group, cases, run)
    try {
      for (const one of cases) await runCase(one, contestants, measureOf(group), { ...run, rounds })
    } finally {
      await Promise.all(contestants.map((contestant) => contestant.close()))
    }
  }
  for (const { name } of cases) printCase(name, run, group.compare)
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

async function runCase({ name, times = 1, learning = 1, ...rest }, contestants, measure, run) {
  const milliseconds = run.seconds * 1000
  const load = { ...rest, milliseconds: times * milliseconds }
  if (!run.measurements.has(name)) run.measurements.set(name, new Map())
  const results = run.measurements.get(name)
  for (const contestant of contestants) {
    if (!results.has(contestant.name)) results.set(contestant.name, [])
    // A first one is thrown away: this case, too, has to be learnt.
    await measure(contestant, { ...load, milliseconds: learning * milliseconds })
  }
  for (let round = 0; round < run.rounds; round++)
    for (const contestant of rotated(contestants, round))
      results.get(contestant.name).push(await measure(contestant, load))
}
