// Starts the main job as README.md says, from a checkout that has never been built; pastes the commands that it prints into a shell;
// ends it with Ctrl-C. Exits with 1 when something is not as it should be.

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { promisify } from 'node:util'
import { check, failed, start } from './kit.js'
import { curlLines } from './shop/checks/welcome.js'

const LIMIT = 120_000
const root = new URL('../', import.meta.url)
const run = promisify(execFile)

forgetBuilds()
const begun = performance.now()
const tooLong = setTimeout(() => {
  console.log(`FAILED  it took more than ${LIMIT} ms\n${shop.text.stdout}${shop.text.stderr}`)
  process.exit(1)
}, LIMIT)

const shop = start(['npm', 'start'], { cwd: root, env: { PORT: '0' } })
await check('npm start opens the shop, from sources alone', async () => {
  await shop.printed(/Ctrl-C/)
  return `the address is there after ${((performance.now() - begun) / 1000).toFixed(1)} s`
})
if (failed()) {
  console.log(shop.text.stdout)
  process.exit()
}
if (hasCurl()) await checkCommands(curlLines(shop.text.stdout))
else console.log('\n!!!!!! SKIPPED: the printed commands, because there is no curl here')
await check('Ctrl-C ends it, npm too, with exit code 0', async () => {
  shop.ctrlC()
  assert.equal(await shop.ended, 0, shop.text.stderr)
})
clearTimeout(tooLong)

/** Removes what builds have left: packages and caches. */
function forgetBuilds() {
  const packages = readdirSync(new URL('packages/', root)).map((name) => `packages/${name}`)
  const left = ['.turbo', ...packages.flatMap((name) => [`${name}/.turbo`, `${name}/dist`])]
  for (const folder of left) rmSync(new URL(folder, root), { recursive: true, force: true })
}

function hasCurl() {
  return spawnSync('curl', ['--version']).status === 0
}

/** @param {string[]} lines */
async function checkCommands([read = '', change = '', order = '']) {
  /** @type {(line: string) => Promise<string>} */
  const paste = async (line) => (await run('sh', ['-c', line], { timeout: LIMIT })).stdout

  await check(read, async () => {
    const answer = await paste(read)
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(answer, /^x-worker: \d+ \d+\r$/im)
    assert.equal(bodyOf(answer).sku, 'mug')
  })
  await check(change, async () => {
    const { sku, cents, workers } = bodyOf(await paste(change))
    assert.deepEqual({ sku, cents }, { sku: 'mug', cents: 1290 })
    assert.ok(workers.length > 0)
    for (const { status } of workers) assert.equal(status, 'applied')
    assert.equal(bodyOf(await paste(read)).cents, 1290)
  })
  await check(order, async () => {
    const { left, ...rest } = bodyOf(await paste(order))
    assert.ok(left >= 0, JSON.stringify(rest))
  })
}

/** @param {string} answer */
function bodyOf(answer) {
  return JSON.parse(answer.slice(answer.lastIndexOf('\r\n') + 1))
}
