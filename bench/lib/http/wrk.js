// wrk as a load generator: where it is installed, as it takes the least CPU from the contestants.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url))

export const hasWrk = spawnSync('wrk', ['--version']).error === undefined

/** @returns {Promise<import('./measure.js').Load>} */
export async function wrk({ url, upload, connections, milliseconds }) {
  // It knows whole seconds only, but ends early, with its report, when it is interrupted. By itself it ends where nobody is left to do that.
  const seconds = Math.ceil(milliseconds / 1000) + 10
  const wrk = spawn(
    'wrk',
    [
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '-s',
      SCRIPT,
      url,
      ...(upload ? ['--', 'upload'] : []),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  wrk.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const end = setTimeout(() => wrk.kill('SIGINT'), milliseconds)
  await once(wrk, 'close')
  clearTimeout(end)
  const report = output.split('\n').find((line) => line.startsWith('{'))
  if (report === undefined) throw new Error(`wrk did not report: ${output}`)
  return JSON.parse(report)
}
