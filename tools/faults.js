// Runs every test that is named after a row of the fault matrix, and the chaos run, and writes what they have seen into docs/faults.md.
// A row without a test, or a test that fails, makes it fail.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const HELP = `npm run faults                     all rows, and a minute of chaos (CHAOS_SECONDS, CHAOS_SEED)
npm run faults -- --only C         rows of one group (W, M, C, H, must pass); writes nothing
npm run faults -- --help           this`

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PAGE = path.join(ROOT, 'docs', 'faults.md')

/** Groups of rows: how their names begin, and how many there are. */
const GROUPS = [
  { prefix: 'W', rows: 19, title: 'Workers' },
  { prefix: 'M', rows: 12, title: 'The primary' },
  { prefix: 'C', rows: 24, title: 'Channels and protocol' },
  { prefix: 'H', rows: 8, title: 'HTTP' },
  { prefix: 'must pass ', rows: 20, title: 'Bugs that were filed against others like us' },
]

const ROW = /^(must pass \d+|[WMCH]\d+): (.*)$/s

/**
 * Runs the tests whose titles begin like this.
 *
 * @param {string} names a regular expression
 * @param {string} folder for what they leave
 */
async function run(names, folder) {
  const [report, records] = ['report.json', 'records.jsonl'].map((name) => path.join(folder, name))
  const vitest = path.join(
    path.dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
    'vitest.mjs',
  )
  const env = { ...process.env, CLUSTERWIRE_TEST_REPORT: report, CLUSTERWIRE_FAULTS: records }
  const args = [vitest, 'run', '-t', `(^| )(${names}): `]
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' })
  const [code] = await once(child, 'close')
  if (!existsSync(report)) throw new Error(`vitest has left no report (exit code ${code})`)
  const lines = existsSync(records) ? readFileSync(records, 'utf8').split('\n').filter(Boolean) : []
  return {
    passed: code === 0,
    files: JSON.parse(readFileSync(report, 'utf8')).testResults,
    records: lines.map((line) => JSON.parse(line)),
  }
}

/** Over what a test ran, as its name tells. */
function wayOf(file, { ancestorTitles, title }) {
  if (path.relative(ROOT, file).startsWith('test')) return 'real processes'
  const names = [...ancestorTitles, /\bover \w+/.exec(title)?.[0]].join(' ')
  if (/\bsockets?\b/.test(names)) return 'sockets'
  return /\bmemory\b/.test(names) ? 'memory' : 'one process'
}

/** One line for each title: where it ran, and what was seen. */
function linesOf(files, records) {
  const lines = new Map()
  for (const { name: file, assertionResults } of files)
    for (const test of assertionResults) {
      const [, row, text] = ROW.exec(test.title) ?? []
      if (row === undefined || ['skipped', 'pending', 'todo'].includes(test.status)) continue
      const what = text.replace(/ over (memory|sockets)\b|\bover (memory|sockets), /g, '')
      const key = `${row}: ${what}`
      const record = records.find((one) => one.row === row && one.what === text)
      const line = lines.get(key) ?? { row, what, ways: new Set(), runs: 0, passed: 0, record }
      line.ways.add(wayOf(file, test))
      line.runs++
      if (test.status === 'passed') line.passed++
      lines.set(key, line)
    }
  const rank = ({ ways }) => (ways.has('real processes') ? 1 : 0)
  return [...lines.values()].sort(
    (a, b) => numberOf(a.row) - numberOf(b.row) || rank(a) - rank(b) || (a.what < b.what ? -1 : 1),
  )
}

/** @param {string} row */
const numberOf = (row) => Number(/\d+$/.exec(row)?.[0])

/** @param {string} prefix */
const belongsTo = (prefix) => (line) => line.row.replace(/\d+$/, '') === prefix

function missingRows(groups, lines) {
  const found = new Set(lines.map(({ row }) => row))
  return groups.flatMap(({ prefix, rows }) =>
    Array.from({ length: rows }, (_, n) => `${prefix}${n + 1}`).filter((row) => !found.has(row)),
  )
}

/** Counts by name, the names in order. */
function counts(of) {
  return Object.keys(of)
    .sort()
    .map((name) => `${name} ${of[name]}`)
    .join(', ')
}

/** @param {number | undefined} ms */
function duration(ms) {
  if (ms === undefined) return ''
  return ms < 1_000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1_000).toFixed(1)} s`
}

function table(head, rows) {
  const cell = (value) => String(value).replaceAll('|', '\\|').replaceAll('\n', ' ')
  const line = (cells) => `| ${cells.map(cell).join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

function groupTable(lines) {
  const head = ['row', 'fault', 'where', 'in flight', 'settled', 'recovered', 'passed']
  const rows = lines.map(({ row, what, ways, runs, passed, record }) => [
    row,
    what + (record?.note ? ` (${record.note})` : ''),
    [...ways].sort().join(', '),
    record?.calls ?? '',
    record ? counts(record.settled) : '',
    duration(record?.recoveredMs),
    passed === runs
      ? runs === 1
        ? 'yes'
        : `${passed} of ${runs}`
      : `**no**: ${passed} of ${runs}`,
  ])
  return table(head, rows)
}

function chaosSection({ chaos, seconds, seed } = {}) {
  if (chaos === undefined) return 'It left no record.'
  const kinds = Object.keys(chaos.outcomes).sort()
  return `${seconds} seconds with seed ${seed}. Faults: ${counts(chaos.faults)}. Handlers that were begun: ${chaos.begun}. When the last fault was over, everything
worked again after ${duration(chaos.recoveredMs)}. Promises that were broken: ${chaos.broken.length}.

${table(
  ['calls', 'how they settled'],
  kinds.map((kind) => [kind, counts(chaos.outcomes[kind])]),
)}`
}

function pageOf({ lines, missing, records }) {
  const sections = GROUPS.map(({ prefix, title }) => {
    const own = lines.filter(belongsTo(prefix))
    return `## ${title}\n\n${own.length === 0 ? 'No row was tested.' : groupTable(own)}`
  })
  const warning = missing.length > 0 ? `\n**Rows without a test: ${missing.join(', ')}.**\n` : ''
  return `# Faults

What happens when something goes wrong, row by row, as the tests that are named after the rows have seen it. Made by \`npm run faults\` on Node
${process.version.slice(1)} with ${availableParallelism()} cores; times are those of one run and tell the order of magnitude.
${warning}
- **where**: over real processes; or inside one process, between peers whose links are in memory or sockets.
- **in flight**: calls (or requests) that were under way when the fault struck, or were made while it lasted.
- **settled**: how these ended: \`answered\`, or the code of their error.
- **recovered**: from the fault until everything was as before.
- **passed**: \`6 of 6\` says that the test ran in so many settings, such as both transports in each direction, and in how many it passed.

Rows without numbers are about what is refused, not about what is lost.

${sections.join('\n\n')}

## Chaos

Everything at once, over real processes: calls of every kind, while workers are killed, stopped, blocked, replaced, made more and fewer. Every call must
settle exactly once, with the right answer or an error that is true.

${chaosSection(records.find(({ chaos }) => chaos !== undefined))}
`
}

const args = process.argv.slice(2)
const only = args[0] === '--only' ? args.slice(1).join(' ') : undefined
const groups = GROUPS.filter(({ prefix }) => only === undefined || prefix.trim() === only)
if (groups.length === 0 || (args.length > 0 && only === undefined)) {
  console.log(HELP)
  process.exit(args[0] === '--help' ? 0 : 2)
}

const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-faults-'))
try {
  const names = groups.map(({ prefix }) => `${prefix}\\d+`)
  if (only === undefined) names.push('chaos')
  const { passed, files, records } = await run(names.join('|'), folder)
  const lines = linesOf(files, records)
  const missing = missingRows(groups, lines)
  if (only === undefined) writeFileSync(PAGE, pageOf({ lines, missing, records }))
  else for (const { prefix } of groups) console.log(groupTable(lines.filter(belongsTo(prefix))))
  for (const row of missing) console.error(`MISSING: no test is named after row ${row}`)
  if (!passed) console.error('FAILED: see what vitest has printed')
  if (missing.length > 0 || !passed) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}
