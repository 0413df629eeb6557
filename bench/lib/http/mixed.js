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
  const lightAgents = await connect(LIGHT_CONNECTIONS, url)
  const heavyAgents = await connect(HEAVY_CONNECTIONS, url)
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
    pace(LIGHT_PER_SECOND, lightAgents, milliseconds, light),
    pace(HEAVY_PER_SECOND, heavyAgents, milliseconds, heavy),
  ])
  for (const agent of [...lightAgents, ...heavyAgents]) agent.destroy()
  return {
    ops,
    seconds: (performance.now() - start) / 1000,
    p50Micros: nanoseconds.percentile(50) / 1000,
    p99Micros: nanoseconds.percentile(99) / 1000,
    failed,
  }
}

/**
 * Opens connections, one after the other. All are there before the first heavy request is: node:cluster gives none to a worker that is busy
 * just then, and keeps them where they are for good, so that otherwise chance would decide how many have to do with a busy worker.
 */
async function connect(count, url) {
  const agents = Array.from({ length: count }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  for (const agent of agents) await statusOf(url, agent)
  return agents
}

/** Calls `send` so often, each time with the next of these connections. Resolves when all have been answered. */
async function pace(perSecond, agents, milliseconds, send) {
  const total = Math.round((perSecond * milliseconds) / 1000)
  const sent = []
  const start = performance.now()
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = ((performance.now() - start) * perSecond) / 1000
      while (sent.length < Math.min(due, total))
        sent.push(send(agents[sent.length % agents.length]))
      if (sent.length < total) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.all(sent)
}

/** @returns 0 when there was no answer */
const statusOf = (url, agent) =>
  new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      response.resume().once('close', () => resolve(response.complete ? response.statusCode : 0))
    })
    request.once('error', () => resolve(0))
  })
