// Prices: never stale after a change was answered, and told to everyone who listens.

import assert from 'node:assert/strict'
import { check, within } from '../../kit.js'
import { PriceCache } from '../price-cache.js'

/**
 * @param {string} base
 * @param {ReturnType<typeof import('../client.js').createClient>} client
 */
export async function checkPrices(base, { get, put }) {
  await check('after a change was answered, every worker has the new price', async () => {
    const seen = new Set()
    for (let cents = 5000; cents < 5050; cents++) {
      await put('/api/prices/teapot', { cents })
      const answers = await Promise.all(Array.from({ length: 8 }, () => get('/api/prices/teapot')))
      for (const { headers, body } of answers) {
        assert.equal(body.cents, cents)
        seen.add(headers['x-worker'])
      }
    }
    assert.equal(seen.size, 2)
    return '50 changes, 400 reads'
  })

  await check('a change that overtakes a price on its way leaves no old price behind', async () => {
    /** @type {((price: { cents: number }) => void)[]} */
    const arrive = []
    const cache = new PriceCache({ price: () => new Promise((resolve) => arrive.push(resolve)) })
    const before = cache.get('mug')
    cache.drop('mug')
    const after = cache.get('mug')
    arrive[1]?.({ cents: 2 })
    arrive[0]?.({ cents: 1 })
    assert.deepEqual(await Promise.all([before, after, cache.get('mug')]), [1, 2, 2])
  })

  await check(
    'a change reaches the listeners of GET /api/events, who leave nothing behind',
    async () => {
      const leave = new AbortController()
      const response = await fetch(`${base}/api/events`, { signal: leave.signal })
      assert.equal(response.headers.get('content-type'), 'text/event-stream')
      const reading = readUntil(response, (text) => text.split('event: dropped').length === 3)
      await put('/api/prices/kettle', { cents: 7000 })
      const text = await reading
      assert.match(text, /event: hello\ndata: {"worker":\d+,"pid":\d+}\n\n/)
      assert.match(text, /event: changed\ndata: {"sku":"kettle","by":\d+}\n\n/)
      for (const worker of [1, 2])
        assert.ok(text.includes(`data: {"sku":"kettle","worker":${worker}}`))
      assert.equal(await listeners(get), 1)
      leave.abort()
      await within(1_000, async () => (await listeners(get)) === 0)
    },
  )
}

/** @param {(path: string) => Promise<import('../client.js').Answer>} get */
async function listeners(get) {
  const { body } = await get('/api/workers')
  return body.reduce((sum, each) => sum + each.listeners, 0)
}

/**
 * @param {Response} response
 * @param {(text: string) => boolean} enough
 */
async function readUntil({ body }, enough) {
  const decoder = new TextDecoder()
  const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader()
  let text = ''
  while (!enough(text)) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`the events ended after: ${text}`)
    text += decoder.decode(value, { stream: true })
  }
  return text
}
