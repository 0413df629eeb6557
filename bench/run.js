// Runs one benchmark, or all of them: each file beside this one is a benchmark, and a process of its own.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { USAGE } from './lib/options.js'
import { buildIfMissing, installIfMissing } from './lib/prepare.js'

const BENCH = fileURLToPath(new URL('.', import.meta.url))

// readme.js writes down what they found.
const benchmarks = readdirSync(BENCH)
  .filter((file) => file.endsWith('.js') && !['run.js', 'readme.js'].includes(file))
  .map((file) => file.slice(0, -'.js'.length))

const HELP = `npm run bench                        all benchmarks, one after another
npm run bench -- --results DIR       the same, each with its result in DIR/NAME.json
npm run bench -- NAME [options]      one of: ${benchmarks.join(', ')}
npm run bench -- --list              their names

${USAGE}
  --no-install        leave contestants out that are not installed, instead of installing them`

const args = process.argv.slice(2)
const name = args[0]?.startsWith('-') ? undefined : args.shift()
const results = takeValueOf('--results')
const options = args.filter((arg) => arg !== '--no-install')

if (args.includes('--help')) console.log(HELP)
else if (args.includes('--list')) console.log(benchmarks.join('\n'))
else if (name !== undefined && !benchmarks.includes(name)) fail(`There is no benchmark "${name}".`)
else if (name === undefined && args.includes('--json')) fail('--json FILE needs the NAME of one.')
else {
  buildIfMissing()
  if (options.length === args.length) installIfMissing()
  if (results !== undefined) mkdirSync(results, { recursive: true })
  for (const one of name === undefined ? benchmarks : [name]) {
    const file = fileURLToPath(new URL(`${one}.js`, import.meta.url))
    const json = results === undefined ? [] : ['--json', path.join(results, `${one}.json`)]
    const command = [file, ...options, ...json]
    const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' })
    if (status !== 0) process.exitCode = 1
  }
}

/** Takes an option and its value out of the arguments: what is left goes to the benchmarks. */
function takeValueOf(option) {
  const at = args.indexOf(option)
  return at < 0 ? undefined : args.splice(at, 2)[1]
}

function fail(message) {
  console.error(`${message}\n\n${HELP}`)
  process.exitCode = 2
}
