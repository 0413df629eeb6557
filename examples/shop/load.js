// Load on the prices while they change: `node load.js [address] [requests] [connections]`. One connection for each price raises it cent
// by cent, all others read. Once a raise has been answered, a read that starts must bring that price or a later one: else it is stale.

import { pathToFileURL } from 'node:url'
import { createClient } from './client.js'

const SKUS = ['mug', 'teapot', 'kettle', 'sencha']

/**
 * @param {string} base
 * @param {{ requests?: number, connections?: number }} [options]
 */
export async function load(base, { requests = 10_000, connections = 64 } = {}) {
  const { get, put, close } = createClient(base, connections)
  const totals = { requests, failed: 0, stale: 0, changes: 0, seconds: 0 }
  const started = performance.now()
  let sent = 0

  /** @param {() => Promise<void>} act */
  const repeat = async (act) => {
    while (sent++ < requests) await act().catch(() => totals.failed++)
  }

  /** @type {(sku: string, index: number) => Promise<unknown>} */
  const follow = async (sku, index) => {
    const path = `/api/prices/${sku}`
    let answered = expect200(await get(path)).cents
    let asked = answered
    const raise = async () => {
      const cents = ++asked
      expect200(await put(path, { cents }))
      answered = cents
      totals.changes++
    }
    const read = async () => {
      const atLeast = answered
      const { cents } = expect200(await get(path))
      if (!(cents >= atLeast && cents <= asked)) totals.stale++
    }
    const share = Math.floor((connections + index) / SKUS.length)
    return Promise.all([repeat(raise), ...Array.from({ length: share - 1 }, () => repeat(read))])
  }

  await Promise.all(SKUS.map(follow))
  close()
  return { ...totals, seconds: (performance.now() - started) / 1000 }
}

/** @param {import('./client.js').Answer} answer */
function expect200({ status, body }) {
  if (status !== 200) throw new Error(`status ${status}`)
  return body
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [base = 'http://127.0.0.1:3000', requests, connections] = process.argv.slice(2)
  console.log(
    await load(base, {
      requests: Number(requests ?? 10_000),
      connections: Number(connections ?? 64),
    }),
  )
}
