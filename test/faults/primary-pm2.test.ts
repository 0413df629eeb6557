// A primary that PM2 runs in fork mode, with the real pm2: it waits for the start's end, and stops it with SIGINT and, in the end, SIGKILL.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect } from 'vitest'
import { isAlive, until } from '../support/cluster.js'
import { fault } from '../support/fault.js'

const run = promisify(execFile)
const cli = path.join(path.dirname(createRequire(import.meta.url).resolve('pm2')), 'bin', 'pm2')
const home = mkdtempSync(path.join(tmpdir(), 'pm2-'))

/** One command of PM2, which has a daemon of its own in our directory. Fails after 20 s. */
async function pm2(...args: string[]): Promise<void> {
  const env = { ...process.env, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true' }
  await run(process.execPath, [cli, ...args], { env, timeout: 20_000 })
}

beforeAll(() => pm2('ping'))
afterAll(async () => {
  await pm2('kill')
  rmSync(home, { recursive: true })
})

/** Has PM2 start our program and wait until it is ready. `log`: what it has noted. */
async function start(name: string, callMs: number, killTimeout: number): Promise<() => string[]> {
  const file = (suffix: string) => path.join(home, `${name}.${suffix}`)
  const LOG = file('log')
  const app = {
    name,
    script: fileURLToPath(new URL('../fixtures/pm2-app.js', import.meta.url)),
    exec_mode: 'fork',
    wait_ready: true,
    // Longer than the command may take: only our word ends the wait.
    listen_timeout: 60_000,
    kill_timeout: killTimeout,
    autorestart: false,
    vizion: false,
    pmx: false,
    out_file: file('out'),
    error_file: file('err'),
    env: { LOG, CALL_MS: String(callMs) },
  }
  writeFileSync(file('config.json'), JSON.stringify({ apps: [app] }))
  await pm2('start', file('config.json'))
  return () => (existsSync(LOG) ? readFileSync(LOG, 'utf8').trim().split('\n') : [])
}

const pidsIn = (lines: readonly string[]) =>
  lines.flatMap((line) => /^(?:primary|worker) (\d+)$/.exec(line)?.[1] ?? []).map(Number)

fault('M3', 'PM2 stops a primary that has a call in flight', async (record) => {
  const log = await start('drained', 1_000, 20_000)
  const pids = pidsIn(log())
  expect(log()).toContain('set up')
  expect(pids).toHaveLength(3)
  await until('the call', () => log().includes('begun'))
  const stoppedAt = performance.now()
  await pm2('stop', 'drained')
  const recoveredMs = Math.round(performance.now() - stoppedAt)
  expect(log().slice(-2)).toEqual(['done', 'exit 0'])
  expect(pids.filter(isAlive)).toEqual([])
  record({ calls: 1, settled: { answered: 1 }, recoveredMs, note: 'ended with code 0' })
})

fault('M3', 'PM2 stops a primary that takes longer than its kill timeout', async (record) => {
  const log = await start('killed', 60_000, 500)
  const pids = pidsIn(log())
  expect(pids).toHaveLength(3)
  await until('the call', () => log().includes('begun'))
  const stoppedAt = performance.now()
  await pm2('stop', 'killed')
  await until('the end of every process', () => !pids.some(isAlive), 2_000)
  const recoveredMs = Math.round(performance.now() - stoppedAt)
  // Neither an answer nor an exit. PM2 kills the workers first, so the primary may still see that one is lost.
  const last = log().slice(log().indexOf('begun') + 1)
  expect(last.filter((line) => line !== 'WORKER_LOST')).toEqual([])
  record({ calls: 1, settled: {}, recoveredMs, note: 'PM2 killed it; no worker is left' })
})
