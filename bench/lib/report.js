// What a benchmark tells: its heading, a table for each case, its targets, and the file with all of it.

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { cpuScope } from './cpu.js'
import { readOptions } from './options.js'
import { median, OURS, ratiosOf, rowOf, spread } from './statistics.js'
import { short, table } from './table.js'
import { targetsOf } from './targets.js'

const HEADINGS = { opsPerSec: '', p50Micros: 'p50: ', p99Micros: 'p99: ' }

/** @param {string} how what the figures are medians of */
export function printHeading(title, how) {
  console.log(`\n# ${title}`)
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores. Medians of ${how}; CPU time is that of ${cpuScope}.`,
  )
}

/**
 * The table of one case.
 *
 * @param {string} name
 * @param {{ measurements: Map<string, Map<string, object[]>>, versions: Record<string, string> }} run for each case and contestant its rounds
 * @param {keyof typeof HEADINGS} [compare] the figure that is compared beside the CPU time
 */
export function printCase(name, { measurements, versions }, compare = 'opsPerSec') {
  const results = measurements.get(name)
  const ours = results.get(OURS)
  const rows = [...results].map(([contestant, rounds]) => {
    const row = rowOf(contestant, name, rounds)
    const [low, high] = spread(rounds.map((round) => round.opsPerSec))
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
export function resultOf(name, { measurements, versions }) {
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
    p50Ratios: ratiosOf(rows, 'p50Micros'),
    p99Ratios: ratiosOf(rows, 'p99Micros'),
    versions,
    rounds,
  }
}

/** The end of every benchmark: its targets are printed, and its file is written when one was asked for. Nothing is judged. */
export function finish(result, { json } = readOptions()) {
  const targets = targetsOf(result)
  const measured = targets.filter(({ state }) => state !== 'not measured')
  if (measured.length > 0) {
    console.log('\n## targets (of a whole run, on an idle machine of two cores)')
    console.log(
      table(
        [' target', 'aim', 'measured', 'minimal', ' '],
        measured.map((one) => [one.what, one.aim, one.measured, one.minimal, one.state]),
      ),
    )
  }
  const left = targets.length - measured.length
  if (left > 0) console.log(`\n${left} more targets, of what this run has not measured`)
  if (json) writeFileSync(json, `${JSON.stringify({ ...result, targets }, null, 2)}\n`)
}
