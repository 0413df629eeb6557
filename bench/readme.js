// Puts what benchmarks have found into the documents: tables between their marks, and charts into docs/charts/.
//
//     npm run bench -- --results bench/results && node bench/readme.js
//
// A benchmark's block stands wherever `<!-- bench:NAME -->` and `<!-- /bench -->` do, in any of the documents; `targets` is one of all of them.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { draw } from './lib/chart.js'
import { charts } from './lib/charts.js'
import { markdown, texts } from './lib/tables.js'
import { targetsOf } from './lib/targets.js'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const RESULTS = path.join(ROOT, 'bench/results')
const CHARTS = path.join(ROOT, 'docs/charts')
const DOCUMENTS = ['README.md', 'docs/performance.md']
const END = '<!-- /bench -->'

const given = process.argv.slice(2)
const files =
  given.length > 0
    ? given
    : readdirSync(RESULTS)
        .filter((file) => file.endsWith('.json'))
        .map((file) => path.join(RESULTS, file))
const results = files.map((file) => JSON.parse(readFileSync(file, 'utf8')))

mkdirSync(CHARTS, { recursive: true })
const blocks = new Map()
for (const result of results) {
  const { name } = result
  if (!(name in texts)) throw new Error(`There is no table for the benchmark "${name}"`)
  if (name in charts) writeFileSync(chartOf(name), draw(`${name}: a chart`, charts[name](result)))
  blocks.set(name, (document) => blockOf(result, document))
}
blocks.set('targets', () => targetsBlock(results))

for (const name of DOCUMENTS) {
  const document = path.join(ROOT, name)
  let text = readFileSync(document, 'utf8')
  for (const [block, write] of blocks) text = put(text, block, write(document))
  writeFileSync(document, text)
}

function chartOf(name) {
  return path.join(CHARTS, `${name}.svg`)
}

function blockOf(result, document) {
  const { name, node, cpus } = result
  const [sentence, table] = texts[name](result)
  const file = path.relative(path.dirname(document), chartOf(name))
  const chart = name in charts ? `\n![${name}: what the table says, drawn](${file})\n` : ''
  return `${sentence} Node ${node.replace('v', '')}, ${cpus} cores:
${chart}
${table}`
}

function targetsBlock(all) {
  const lines = all.flatMap((result) =>
    targetsOf(result).map(({ what, aim, measured, minimal, state }) => [
      `\`${result.name}\` ${what}`,
      aim,
      measured,
      minimal,
      state,
    ]),
  )
  return markdown(['target', 'aim', 'measured', 'minimal', ''], lines)
}

/** Replaces what stands between a block's marks, where a document has them. */
function put(text, name, block) {
  const mark = `<!-- bench:${name} -->`
  const start = text.indexOf(mark)
  if (start < 0) return text
  return `${text.slice(0, start)}${mark}\n${block}\n${text.slice(text.indexOf(END, start))}`
}
