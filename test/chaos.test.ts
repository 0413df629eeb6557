// Everything at once, over real processes: calls of every kind, while workers are killed, stopped, blocked, reloaded and scaled.

import { fork } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, until } from './support/cluster.js'

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 60)
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000)

interface Report {
  readonly outcomes: Record<string, Record<string, number>>
  readonly faults: Record<string, number>
  readonly broken: readonly string[]
  readonly errors: readonly string[]
  readonly begun: number
  readonly recoveredMs: number
  readonly pids: readonly number[]
}

test(
  `chaos: ${SECONDS} seconds of it leave every call settled once, and nothing else`,
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-chaos-'))
    const script = fileURLToPath(new URL('./fixtures/chaos-primary.js', import.meta.url))
    const options = { seconds: SECONDS, seed: SEED, runs: path.join(folder, 'runs') }
    const child = fork(script, [JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let stderr = ''
    child.stderr?.on('data', (text) => {
      stderr += text
    })
    const exited = new Promise((resolve) =>
      child.once('exit', (code, signal) => resolve(code ?? signal)),
    )
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true })
    })
    let report: Report | undefined
    child.on('message', (message: Report) => {
      report = message
    })
    // Its own errors are what the run provokes; another one says why it ended.
    expect(await exited, `seed ${SEED}: ${stderr.slice(-4_000)}`).toBe(0)
    expect(report?.broken, `seed ${SEED}`).toEqual([])
    expect(Object.keys(report?.faults ?? {}).length).toBeGreaterThan(4)
    expect(report?.begun).toBeGreaterThan(SECONDS * 10)
    await until('the end of every process', () => report?.pids.every((pid) => !isAlive(pid)))
    const file = process.env.CLUSTERWIRE_FAULTS
    if (file !== undefined)
      appendFileSync(file, `${JSON.stringify({ chaos: report, seconds: SECONDS, seed: SEED })}\n`)
  },
  SECONDS * 1_000 + 60_000,
)
