// What a benchmark's result looks like in a document: a sentence, and a table of ratios.

import { titleOf } from './names.js'
import { OURS } from './statistics.js'
import { short } from './table.js'

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

/** The first column flush left, the others flush right. */
export function markdown(headings, lines) {
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

/** For each benchmark: the sentence above its table, and the table. */
export const texts = {
  rpc(result) {
    const [direct, relayed] = [false, true].map((is) =>
      casesOf(result).filter((one) => one.startsWith('worker to worker') === is),
    )
    const last = direct.at(-1)
    return [
      'Calls from the primary to one worker, and from worker to worker, ours validated by zod on both ends, theirs as they come.',
      ratioTable(result, 'calls per second, ours ÷ theirs', [
        ...direct.map((one) => [one, result.ratios, one]),
        [`CPU per call, ${last}`, result.cpuRatios, last],
        ...relayed.slice(-1).map((one) => [one, result.ratios, one]),
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
      'The same HTTP app behind our front with two workers, behind others, behind nothing but a relay of bytes, and without any. In requests per second more than 1 is good for us, in CPU and p99 less.',
      ratioTable(result, 'requests per second, ours ÷ theirs', columns),
    ]
  },

  article(result) {
    const [name] = casesOf(result)
    return [
      'An article’s app whose requests burn CPU, under its `autocannon -c 100`: in how many requests per second our front is ahead.',
      ratioTable(result, 'ours ÷ theirs', [
        ['requests per second', result.ratios, name],
        ['p99', result.p99Ratios, name],
      ]),
    ]
  },

  broadcast(result) {
    const cases = casesOf(result)
    const last = cases.at(-1)
    return [
      'Broadcasts from the primary, awaited until each worker has applied the value; over bare sockets a byte, which nobody applies.',
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

  start({ rows, memory }) {
    const of = (name, contestant) =>
      rows.find((row) => row.case === name && row.contestant === contestant)?.p50Micros
    const all = [OURS, 'node-cluster', 'cluster-and-thread']
    const plain = ['cluster.fork', 'with a thread']
    return [
      'From the start of a program to its last worker’s readiness, beside bare `cluster.fork`, alone and with an empty thread in each worker; and the memory (PSS) of each worker, the watchdog thread included.',
      markdown(
        [
          '',
          'ours',
          ...plain,
          'ours ÷ cluster.fork',
          'memory, ours',
          ...plain,
          'ours − cluster.fork',
        ],
        casesOf({ rows }).map((name) => {
          const milliseconds = all.map((one) => `${short(of(name, one) / 1000)} ms`)
          const { over, ...each } = memory[name]
          const mebibytes = [...all.map((one) => each[one]), over]
          const ratio = of(name, OURS) / of(name, 'node-cluster')
          return [
            name,
            ...milliseconds,
            times(ratio),
            ...mebibytes.map((size) => `${short(size)} MiB`),
          ]
        }),
      ),
    ]
  },

  scale({ rows }) {
    const ours = rows.filter((row) => row.contestant === OURS)
    const series = unique(ours.map((row) => row.case.replace(/^\d+ /, '')))
    return [
      'What a call costs inside one process with links in memory (CPU µs, caller and callee together), by the number of peers and of procedures.',
      series
        .map((one) => {
          const of = ours.filter((row) => row.case.endsWith(` ${one}`))
          const sizes = of.map((row) => row.case.split(' ')[0])
          return markdown(
            [one, ...sizes],
            [['CPU µs', ...of.map((row) => short(row.cpuMicrosPerOp))]],
          )
        })
        .join('\n\n'),
    ]
  },

  codec({ rows, ratios }) {
    const others = unique(rows.map((row) => row.contestant)).filter((one) => one !== OURS)
    return [
      'A value into bytes and back, both ways together: how many times as fast as others ours is.',
      markdown(
        ['value', ...others],
        casesOf({ rows }).map((name) => [
          `\`${name}\``,
          ...others.map((one) => times(ratios[`${name}/${one}`])),
        ]),
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
