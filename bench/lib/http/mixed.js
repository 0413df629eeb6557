// Light requests at a steady pace beside a few that burn CPU. An open loop: a request is sent when it is due, whether the one before has
// its answer or not, as clients do that know nothing of each other.

import { Agent, get } from 'node:http'
import { createHistogram, performance } from 'node:perf_hooks'

const LIGHT_CONNECTIONS = 16
const LIGHT_PER_SECOND = 200
const HEAVY_CONNECTIONS = 2
const HEAVY_PER_SECOND = 2

/**
 * @param {{ url: string, heavyUrl: string, milliseconds: number }} load
 * @returns {Promise<import('./measure.js').Load>} of the light ones
 */
export async function run({ url, heavyUrl, milliseconds }) {
  const nanoseconds = createHistogram()
  const start = performance.now()
  let ops = 0
  let failed = 0

  async function light(agent) {
    const due = performance.now()
    const status = await statusOf(url, agent)
    if (status !== 200) failed++
    ops++
    nanoseconds.record(Math.round((performance.now() - due) * 1e6))
  }
  async function heavy(agent) {
    if ((await statusOf(heavyUrl, agent)) !== 200) failed++
  }

  await Promise.all([
    pace(LIGHT_PER_SECOND, LIGHT_CONNECTIONS, milliseconds, light),
    pace(HEAVY_PER_SECOND, HEAVY_CONNECTIONS, milliseconds, heavy),
  ])
  return {
    ops,
    seconds: (performance.now() - start) / 1000,
    p50Micros: nanoseconds.percentile(50) / 1000,
    p99Micros: nanoseconds.percentile(99) / 1000,
    failed,
  }
}

/** Calls `send` so often, each time with the next of so many connections. Resolves when all have been answered. */
async function pace(perSecond, connections, milliseconds, send) {
  const agents = Array.from(
    { length: connections },
    () => new Agent({ keepAlive: true, maxSockets: 1 }),
  )
  const total = Math.round((perSecond * milliseconds) / 1000)
  const sent = []
  const start = performance.now()
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = ((performance.now() - start) * perSecond) / 1000
      while (sent.length < Math.min(due, total)) sent.push(send(agents[sent.length % connections]))
      if (sent.length < total) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.all(sent)
  for (const agent of agents) agent.destroy()
}

/** @returns 0 when there was no answer */
const statusOf = (url, agent) =>
  new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      response.resume().once('close', () => resolve(response.complete ? response.statusCode : 0))
    })
    request.once('error', () => resolve(0))
  })
