// What the shop prints when it opens: who works there, where it is, and commands that can be pasted as they are.

import assert from 'node:assert/strict'
import { check } from '../../kit.js'

/**
 * The commands that the shop proposes.
 *
 * @param {string} text what it has printed
 */
export function curlLines(text) {
  return text.match(/(?<=^ {2})curl .+$/gm) ?? []
}

/**
 * @param {import('../../kit.js').Program} shop
 * @param {string} base
 * @param {number} workers
 */
export async function checkWelcome(shop, base, workers) {
  await check('it tells of each worker, where it is, and what to try', async () => {
    await shop.printed(/Ctrl-C/)
    const { stdout } = shop.text
    const told = [...stdout.matchAll(/^worker (\d+) {2}pid \d+$/gm)].map(([, number]) => number)
    assert.deepEqual(
      told,
      Array.from({ length: workers }, (_, index) => String(index + 1)),
    )
    assert.match(base, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.ok(stdout.includes(`\nThe shop is open: ${base}\n`))
    const lines = curlLines(stdout)
    assert.equal(lines.length, 3)
    for (const line of lines) assert.ok(line.includes(` ${base}/api/`), line)
  })
}
