// Puts a load on an HTTP contestant, from outside its processes, and tells what its processes spent on it.

import { setTimeout as wait } from 'node:timers/promises'
import { cpuMicros } from '../cpu.js'
import { generate } from './program.js'
import { hasWrk, wrk } from './wrk.js'

/** What generates the load of a case that doesn't name its generator. */
export const generator = hasWrk ? 'wrk' : 'autocannon'

const IDLE_WINDOW = 40
const IDLE_SHARE = 0.2
const IDLE_TRIES = 100

/**
 * @typedef {{ ops: number, seconds: number, p50Micros: number, p99Micros: number, failed: number }} Load what a load generator tells
 *
 * @param {import('../contestant.js').Contestant} contestant
 * @param {{ milliseconds: number, inFlight: number, path: string, heavyPath?: string, upload?: boolean, tool?: string }} load
 */
export async function measureHttp(contestant, load) {
  const { port, pid } = contestant
  const { milliseconds, inFlight: connections, path, heavyPath, upload = false, tool } = load
  const request = {
    url: `http://127.0.0.1:${port}${path}`,
    heavyUrl: heavyPath && `http://127.0.0.1:${port}${heavyPath}`,
    connections,
    milliseconds,
    upload,
  }
  const before = cpuMicros(pid)
  const used = tool ?? generator
  const report = await (used === 'wrk' ? wrk(request) : generate(used, request))
  const spent = cpuMicros(pid) - before
  await idle(pid)

  const { ops, seconds, failed, ...latency } = report
  if (failed > 0 || ops === 0)
    console.error(`!!!!!! ${contestant.name}: ${failed} requests to ${path} failed, ${ops} did not`)
  return { opsPerSec: ops / seconds, cpuMicrosPerOp: spent / ops, ...latency, failed }
}

/** Connections are cut at the end, and what was asked on them may still be worked on: not in the next one's time. */
async function idle(pid) {
  for (let tries = 0; tries < IDLE_TRIES; tries++) {
    const before = cpuMicros(pid)
    await wait(IDLE_WINDOW)
    if (cpuMicros(pid) - before < IDLE_WINDOW * 1000 * IDLE_SHARE) return
  }
}
