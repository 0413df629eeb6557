// Runs the test suite on every Node version that is supported: each binary runs vitest, its forks and the clusters they start.
// The binaries come from npm, through the registry that npm is configured for, and stay in a folder that git ignores.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The newest of each major. */
const VERSIONS = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

const HELP = `npm run test:matrix                              the whole suite on Node ${VERSIONS.join(', ')}
npm run test:matrix -- --only 24                 on one major; may be given again
npm run test:matrix -- --allow-missing           a version that cannot be had is no failure, as long as one can
npm run test:matrix -- test/cluster.test.ts      the rest goes to vitest: test files, --project core, -t name`

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CACHE = path.join(ROOT, 'node_modules', '.cache', 'clusterwire-node')
/** npm has Node's binary as a package for each platform. */
const PACKAGE = `node-${process.platform}-${process.arch}`
const INSTALL_LIMIT = 300_000

const run = promisify(execFile)
const vitest = path.join(
  path.dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
)

/**
 * What the command line asks for.
 *
 * @param {string[]} args
 * @returns undefined when it asks for a major that is not in the table
 */
function readOptions(args) {
  const majors = []
  const forVitest = []
  let allowMissing = false
  const rest = [...args]
  while (rest.length > 0) {
    const arg = rest.shift()
    if (arg === '--only') majors.push(rest.shift())
    else if (arg === '--allow-missing') allowMissing = true
    else forVitest.push(arg)
  }
  const known = VERSIONS.map(majorOf)
  if (majors.some((major) => !known.includes(major))) return undefined
  const versions = VERSIONS.filter((one) => majors.length === 0 || majors.includes(majorOf(one)))
  return { versions, allowMissing, forVitest }
}

/** @param {string} version */
const majorOf = (version) => version.split('.')[0]

/**
 * The folder with this version's `node`, which has been run once.
 *
 * @param {string} version
 * @throws when npm does not have it, or when it does not run here
 */
async function binaryFolder(version) {
  const prefix = path.join(CACHE, version)
  const folder = path.join(prefix, 'node_modules', PACKAGE, 'bin')
  const check = async () => {
    const { stdout } = await run(path.join(folder, 'node'), ['--version'])
    if (stdout.trim() !== `v${version}`) throw new Error(`It says that it is ${stdout.trim()}.`)
  }
  const cached = await check().then(
    () => true,
    () => false,
  )
  if (cached) return folder
  // What an interrupted installation has left would count as installed.
  rmSync(prefix, { recursive: true, force: true })
  console.log(`Node ${version}: installing ${PACKAGE}@${version}`)
  const options = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', '--prefix', prefix, ...options, `${PACKAGE}@${version}`], {
    timeout: INSTALL_LIMIT,
  })
  await check()
  return folder
}

/**
 * Runs vitest on one version.
 *
 * @param {string} folder where its `node` is
 * @param {string[]} forVitest arguments
 * @param {string} report the file that vitest writes its results into
 */
async function runSuite(folder, forVitest, report) {
  const env = {
    ...process.env,
    CLUSTERWIRE_TEST_REPORT: report,
    // Forks inherit the binary by its path; what is started by the name `node` finds it here.
    PATH: `${folder}${path.delimiter}${process.env.PATH}`,
  }
  const args = [vitest, 'run', ...forVitest]
  const child = spawn(path.join(folder, 'node'), args, { cwd: ROOT, env, stdio: 'inherit' })
  /** @param {NodeJS.Signals} signal */
  const stop = (signal) => {
    child.kill(signal)
    interrupted = true
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  const [code] = await once(child, 'close')
  process.off('SIGINT', stop).off('SIGTERM', stop)
  return readReport(report, code === 0)
}

/**
 * @param {string} report
 * @param {boolean} succeeded what vitest's exit code says
 */
function readReport(report, succeeded) {
  try {
    const { numPassedTests, numFailedTests, numTotalTests } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    // A file that fails to load, or an unhandled error, fails no single test but fails the run. So does a run without a test.
    const ok = succeeded && numPassedTests > 0
    return {
      ok,
      passed: numPassedTests,
      failed: Math.max(numFailedTests, ok ? 0 : 1),
      skipped: numTotalTests - numPassedTests - numFailedTests,
    }
  } catch {
    return { ok: false, passed: 0, failed: 1, skipped: 0 }
  }
}

/** @param {string[][]} rows */
function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  console.log()
  for (const row of rows)
    console.log(row.map((cell, column) => cell.padStart(widths[column])).join('  '))
}

let interrupted = false

/** @param {NonNullable<ReturnType<typeof readOptions>>} options */
async function testAll({ versions, allowMissing, forVitest }) {
  const reports = mkdtempSync(path.join(tmpdir(), 'clusterwire-matrix-'))
  const rows = [['node', 'passed', 'failed', 'skipped', 'seconds']]
  const results = []
  for (const version of versions) {
    if (interrupted) break
    const folder = await binaryFolder(version).catch((/** @type {Error} */ error) => {
      console.error(`\n!!!!!! SKIPPED: Node ${version} cannot be had: ${error.message.trim()}\n`)
    })
    if (folder === undefined) {
      rows.push([version, 'not run', '-', '-', '-'])
      continue
    }
    console.log(`\n=== Node ${version}`)
    const started = performance.now()
    const result = await runSuite(folder, forVitest, path.join(reports, `${version}.json`))
    const seconds = ((performance.now() - started) / 1000).toFixed(0)
    results.push(result)
    rows.push([version, ...[result.passed, result.failed, result.skipped, seconds].map(String)])
  }
  rmSync(reports, { recursive: true })
  printTable(rows)
  const complete = results.length === versions.length || (allowMissing && results.length > 0)
  return complete && !interrupted && results.every((one) => one.ok)
}

const args = process.argv.slice(2)
const options = readOptions(args)
if (args.includes('--help')) console.log(HELP)
else if (options === undefined) {
  console.error(`--only takes one of ${VERSIONS.map(majorOf).join(', ')}\n\n${HELP}`)
  process.exitCode = 2
} else if (!(await testAll(options))) process.exitCode = 1
