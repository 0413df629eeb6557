// The page: keeps light traffic going, lets one disturb it, and shows who answered.

import { ask, inFlight, watch } from './ask.js'
import { badge, colorOf } from './colors.js'
import { laneOf, tellLanes } from './lanes.js'
import { say, sayError } from './log.js'
import { anySku, nameOf, openShelf, refresh } from './shelf.js'

const $ = (id) => document.getElementById(id)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
/** Light requests of the last seconds. */
let light = []
let answered = 0
let failed = 0

watch((answer) => {
  const { worker, status, tag, ms } = answer
  const ok = status > 0 && status < 500
  if (worker) laneOf(worker).add({ ...answer, ok })
  if (ok) answered++
  else failed++
  if (tag === 'light' && ok) light.push({ at: answer.end, ms })
})

function showNumbers() {
  light = light.filter(({ at }) => performance.now() - at < 10_000)
  const sorted = light.map(({ ms }) => ms).sort((a, b) => a - b)
  $('median').textContent = sorted[sorted.length >> 1]?.toFixed(1) ?? '–'
  $('slowest').textContent = sorted.at(-1)?.toFixed(1) ?? '–'
  $('answered').textContent = answered
  $('flying').textContent = inFlight()
  $('failed').textContent = failed
  $('failed').toggleAttribute('data-none', failed === 0)
}

$('traffic').addEventListener('click', ({ currentTarget: button }) => {
  button.setAttribute('aria-pressed', button.getAttribute('aria-pressed') !== 'true')
})

$('fire').addEventListener('click', async () => {
  const start = performance.now()
  const answers = []
  // Four at a time: a browser has six connections, and one that waits for a connection has not been sent.
  const fire = async () => {
    for (let n = 0; n < 25; n++) answers.push(await ask(`/api/prices/${anySku()}`))
  }
  await Promise.all([fire(), fire(), fire(), fire()])
  const shares = Object.entries(Object.groupBy(answers, ({ worker }) => worker ?? 'nobody'))
  say(
    `100 requests in ${Math.round(performance.now() - start)} ms: `,
    ...shares.map(([worker, { length }]) => badge(worker, `${worker}: ${length}`)),
  )
})

$('burn').addEventListener('click', async () => {
  const { ok, body, worker, ms } = await ask('/api/burn?ms=1500')
  if (!ok) return sayError('The burn', body)
  say('Worker ', badge(worker), `was busy for ${Math.round(ms)} ms and found ${body.primes} primes`)
})

/** The line of each change that is under way, to which the workers' dots are added. */
const changes = new Map()
const events = new EventSource('/api/events')
events.addEventListener('hello', ({ data }) => {
  const { worker, pid } = JSON.parse(data)
  $('live').style.setProperty('--worker', colorOf(worker))
  $('live').textContent = `live events from worker ${worker}, pid ${pid}`
})
events.addEventListener('error', () => {
  $('live').style.removeProperty('--worker')
  $('live').textContent = 'reconnecting'
})
events.addEventListener('changed', ({ data }) => {
  const { sku, by } = JSON.parse(data)
  changes.set(sku, say(`${nameOf(sku)}: changed through `, badge(by), 'forgotten by '))
  refresh(sku)
})
events.addEventListener('dropped', ({ data }) => {
  const { sku, worker } = JSON.parse(data)
  laneOf(worker).dropped()
  changes.get(sku)?.append(badge(worker))
})

async function keepTraffic() {
  for (;;) {
    await pause(100)
    if ($('traffic').getAttribute('aria-pressed') === 'true' && !document.hidden)
      ask(`/api/prices/${anySku()}`, { tag: 'light' })
    showNumbers()
  }
}

async function keepStats() {
  for (;;) {
    const stats = await fetch('/api/workers')
      .then((response) => response.json())
      .catch(() => [])
    if (stats.length) tellLanes(stats)
    await pause(1_000)
  }
}

await openShelf()
keepTraffic()
keepStats()
