// Puts a benchmark's ratios into the README: `npm run bench -- rpc --json rpc.json && node bench/readme.js rpc.json`.
import { readFileSync, writeFileSync } from 'node:fs'

const file = process.argv[2]
if (file === undefined)
  throw new Error(
    'node bench/readme.js FILE: a file that `npm run bench -- NAME --json FILE` has written',
  )
const { name, node, cpus, rows, ratios, cpuRatios, versions } = JSON.parse(
  readFileSync(file, 'utf8'),
)

const cases = [...new Set(rows.map((row) => row.case))].filter(
  (one) => !one.startsWith('worker to worker'),
)
const contestants = [...new Set(rows.map(({ contestant }) => contestant))].filter(
  (one) => one !== 'clusterwire',
)
const times = (ratio) =>
  ratio === undefined ? '–' : `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)} ×`
const title = (one) => {
  if (one === 'raw-json') return '`process.send`, by hand'
  if (one === 'raw-advanced') return '`process.send`, `advanced`, by hand'
  return versions?.[one] ? `${one} ${versions[one]}` : one
}

const table = [
  `| calls per second, ours ÷ theirs | ${cases.join(' | ')} | CPU per call, ${cases.at(-1)} |`,
  `|---|${cases.map(() => '--:').join('|')}|--:|`,
  ...contestants.map((one) => {
    const cells = cases.map((each) => times(ratios[`${each}/${one}`]))
    return `| ${title(one)} | ${cells.join(' | ')} | ${cpuRatios[`${cases.at(-1)}/${one}`].toFixed(2)} × |`
  }),
]
const text = `<!-- bench:${name} -->
Calls from the primary to one worker, ours validated by zod on both ends, theirs as they come. Node ${node.replace('v', '')}, ${cpus} cores:

${table.join('\n')}
<!-- /bench -->`

const readme = readFileSync('README.md', 'utf8')
writeFileSync(
  'README.md',
  readme.replace(/<!-- bench[\s\S]*?<!-- \/bench -->|<!-- bench -->/, text),
)
