// Puts the ratios of benchmarks into the README, a table for each: `npm run bench -- rpc --json rpc.json && node bench/readme.js rpc.json`.
// A benchmark's table stands between its own marks; one that has none yet comes behind the others.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const README = fileURLToPath(new URL('../README.md', import.meta.url))
const OURS = 'clusterwire'
const END = '<!-- /bench -->'

const files = process.argv.slice(2)
if (files.length === 0)
  throw new Error(
    'node bench/readme.js FILE...: files that `npm run bench -- NAME --json FILE` has written',
  )

const times = (ratio) => {
  if (ratio === undefined || ratio === null) return '–'
  return `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(ratio < 1 ? 2 : 1)} ×`
}
const unique = (values) => [...new Set(values)]
const casesOf = ({ rows }) => unique(rows.map((row) => row.case))

/** One row per contestant, the columns given as `[heading, ratios, case]`: what of a result is shown, and as which of its ratios. */
function ratioTable({ rows, versions }, corner, columns) {
  const contestants = unique(rows.map(({ contestant }) => contestant)).filter((one) => one !== OURS)
  const lines = contestants.map((one) => {
    const cells = columns.map(([, ratios, name]) => times(ratios[`${name}/${one}`]))
    return { one, cells }
  })
  return markdown(
    [corner, ...columns.map(([heading]) => heading)],
    lines
      .filter(({ cells }) => cells.some((cell) => cell !== '–'))
      .map(({ one, cells }) => [titleOf(one, versions), ...cells]),
  )
}

function markdown(headings, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`
  return [
    row(headings),
    `|---|${headings
      .slice(1)
      .map(() => '--:')
      .join('|')}|`,
    ...lines.map(row),
  ].join('\n')
}

const TITLES = {
  'raw-json': '`process.send`, by hand',
  'raw-advanced': '`process.send`, `advanced`, by hand',
  'raw-net': 'a bare `node:net` socket',
  'node-http': '`node:http`, one process',
  'node-cluster': '`node:cluster`',
}

const titleOf = (contestant, versions) =>
  TITLES[contestant] ?? `${contestant} ${versions?.[contestant] ?? ''}`.trim()

/** For each benchmark: the sentence above its table, and the table. */
const texts = {
  rpc(result) {
    const cases = casesOf(result).filter((one) => !one.startsWith('worker to worker'))
    const last = cases.at(-1)
    return [
      'Calls from the primary to one worker, ours validated by zod on both ends, theirs as they come.',
      ratioTable(result, 'calls per second, ours ÷ theirs', [
        ...cases.map((one) => [one, result.ratios, one]),
        [`CPU per call, ${last}`, result.cpuRatios, last],
      ]),
    ]
  },

  http(result) {
    const cases = casesOf(result)
    const columns = cases.flatMap((one) => {
      if (one.startsWith('mixed')) return [[`p99, ${one}`, result.p99Ratios, one]]
      const column = [one, result.ratios, one]
      return one === 'hello'
        ? [column, [`CPU per request, ${one}`, result.cpuRatios, one]]
        : [column]
    })
    return [
      'The same HTTP app behind our front with two workers, behind others, and without any. In requests per second more than 1 is good for us, in CPU and p99 less.',
      ratioTable(result, 'requests per second, ours ÷ theirs', columns),
    ]
  },

  broadcast(result) {
    const cases = casesOf(result)
    const last = cases.at(-1)
    return [
      'Broadcasts from the primary, awaited until each worker has applied the value.',
      ratioTable(result, 'broadcasts per second, ours ÷ theirs', [
        ...cases.map((one) => [one, result.ratios, one]),
        [`CPU, ${last}`, result.cpuRatios, last],
      ]),
    ]
  },

  stream(result) {
    return [
      'From or to one worker: bytes beside a bare socket, values beside one call for each.',
      ratioTable(
        result,
        'per second, ours ÷ theirs',
        casesOf(result).map((one) => [one, result.ratios, one]),
      ),
    ]
  },

  types({ rows, sizes }) {
    return [
      'A contract of 1 000 procedures through `tsc`, and what a bundle holds of ours, without zod.',
      markdown(
        ['what', 'how much'],
        [
          ...rows.map((row) => [
            `${row.case}, ${row.contestant}`,
            `${(row.p50Micros / 1e6).toFixed(1)} s`,
          ]),
          ...Object.entries(sizes).map(([name, { gzipped }]) => [
            `\`${name}\`, gzipped`,
            `${(gzipped / 1000).toFixed(1)} kB`,
          ]),
        ],
      ),
    ]
  },
}

function blockOf(result) {
  const { name, node, cpus } = result
  if (!(name in texts)) throw new Error(`There is no table for the benchmark "${name}"`)
  const [sentence, table] = texts[name](result)
  return `<!-- bench:${name} -->
${sentence} Node ${node.replace('v', '')}, ${cpus} cores:

${table}
${END}`
}

/** Where its marks are, or behind the last benchmark's. */
function put(readme, name, block) {
  const start = readme.indexOf(`<!-- bench:${name} -->`)
  if (start >= 0) return readme.slice(0, start) + block + readme.slice(afterEnd(readme, start))
  const last = readme.lastIndexOf(END)
  if (last < 0) throw new Error('The README has no <!-- bench:NAME --> ... <!-- /bench --> yet')
  const end = last + END.length
  return `${readme.slice(0, end)}\n\n${block}${readme.slice(end)}`
}

const afterEnd = (readme, start) => readme.indexOf(END, start) + END.length

let readme = readFileSync(README, 'utf8')
for (const file of files) {
  const result = JSON.parse(readFileSync(file, 'utf8'))
  readme = put(readme, result.name, blockOf(result))
}
writeFileSync(README, readme)
