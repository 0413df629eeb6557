// Puts a load on an HTTP contestant, from outside its processes, and tells what its processes spent on it.

import { cpuMicros } from '../cpu.js'
import { generate } from './program.js'
import { hasWrk, wrk } from './wrk.js'

/** What generates the load of a case that doesn't name its generator. */
export const generator = hasWrk ? 'wrk' : 'autocannon'

/**
 * @typedef {{ ops: number, seconds: number, p50Micros: number, p99Micros: number, failed: number }} Load what a load generator tells
 *
 * @param {import('../contestant.js').Contestant} contestant
 * @param {{ milliseconds: number, inFlight: number, path: string, heavyPath?: string, upload?: boolean, tool?: string, turns?: boolean }} load with
 *   `turns` each connection sends a request for each second of the milliseconds, and all are answered, so that none is left to be worked on
 *   in the next one's time
 */
export async function measureHttp(contestant, load) {
  const { port, pid } = contestant
  const { milliseconds, inFlight: connections, path, heavyPath, upload = false, tool, turns } = load
  const request = {
    url: `http://127.0.0.1:${port}${path}`,
    heavyUrl: heavyPath && `http://127.0.0.1:${port}${heavyPath}`,
    connections,
    milliseconds,
    upload,
    amount: turns ? connections * Math.max(1, Math.round(milliseconds / 1000)) : undefined,
  }
  const before = cpuMicros(pid)
  const used = tool ?? generator
  const report = await (used === 'wrk' ? wrk(request) : generate(used, request))
  const spent = cpuMicros(pid) - before

  const { ops, seconds, failed, ...latency } = report
  if (failed > 0 || ops === 0)
    console.error(`!!!!!! ${contestant.name}: ${failed} requests to ${path} failed, ${ops} did not`)
  return { opsPerSec: ops / seconds, cpuMicrosPerOp: spent / ops, ...latency, failed }
}
