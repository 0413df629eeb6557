// Every endpoint, asked as a browser or curl would: the right answers, and the refusals.

import assert from 'node:assert/strict'
import { check } from '../../kit.js'

/** @param {ReturnType<typeof import('../client.js').createClient>} client */
export async function checkAnswers({ send, get, put, post }) {
  /** @type {(answer: import('../client.js').Answer, status: number, body: object) => void} */
  const expect = (answer, status, body) => {
    assert.equal(answer.status, status, JSON.stringify(answer.body))
    assert.match(String(answer.headers['x-worker']), /^\d+ \d+$/)
    for (const [key, value] of Object.entries(body)) assert.deepEqual(answer.body[key], value)
  }

  await check('GET / is the page, and so are its parts', async () => {
    const page = await get('/')
    assert.match(page.text, /<title>Clusterwire shop/)
    for (const [, part] of page.text.matchAll(/(?:src|href)="([\w.]+)"/g))
      assert.equal((await get(`/${part}`)).status, 200, part)
  })
  await check('GET /api/prices has every price, GET /api/prices/:sku one', async () => {
    const { body } = await get('/api/prices')
    assert.equal(body.length, 5)
    for (const { sku, cents } of body) expect(await get(`/api/prices/${sku}`), 200, { sku, cents })
  })
  await check(
    'PUT /api/prices/:sku changes it, and says which workers have applied it',
    async () => {
      const answer = await put('/api/prices/whisk', { cents: 1234 })
      expect(answer, 200, { sku: 'whisk', cents: 1234 })
      assert.deepEqual(answer.body.workers, [
        { worker: 1, status: 'applied' },
        { worker: 2, status: 'applied' },
      ])
    },
  )
  await check('POST /api/orders takes from the stock, GET /api/stock shows it', async () => {
    expect(await post('/api/orders', { sku: 'whisk', quantity: 2 }), 201, { left: 1 })
    const { body } = await get('/api/stock')
    assert.deepEqual(
      body.find(({ sku }) => sku === 'whisk'),
      { sku: 'whisk', left: 1 },
    )
  })
  await check('more than there is: 409 with what is left', async () => {
    const answer = await post('/api/orders', { sku: 'whisk', quantity: 2 })
    expect(answer, 409, { error: 'OUT_OF_STOCK', sku: 'whisk', left: 1 })
  })
  await check('what there is not: 404', async () => {
    expect(await get('/api/prices/sofa'), 404, { error: 'UNKNOWN_SKU', sku: 'sofa' })
    expect(await put('/api/prices/sofa', { cents: 1 }), 404, { error: 'UNKNOWN_SKU' })
    expect(await post('/api/orders', { sku: 'sofa', quantity: 1 }), 404, { error: 'UNKNOWN_SKU' })
    expect(await get('/api/sofas'), 404, { error: 'NOT_FOUND' })
  })
  await check(
    'what does not fit the contract: 400 that names procedure, field and reason',
    async () => {
      const refused = { error: 'INVALID_REQUEST' }
      const answer = await put('/api/prices/mug', { cents: 'dear' })
      expect(answer, 400, refused)
      assert.match(answer.body.message, /ledger\.setPrice.*cents.*expected number/)
      expect(await put('/api/prices/mug', { cents: -1 }), 400, refused)
      expect(await post('/api/orders', { sku: 'mug', quantity: 0.5 }), 400, refused)
      expect(await post('/api/orders', [1]), 400, refused)
      expect(await send('POST', '/api/orders'), 400, refused)
      expect(await send('POST', '/api/orders', '{"sku":'), 400, { error: 'BAD_REQUEST' })
      expect(await get('/api/burn?ms=600000'), 400, refused)
    },
  )
  await check('GET /api/workers tells of every worker', async () => {
    const { body } = await get('/api/workers')
    assert.deepEqual(
      body.map(({ worker, status }) => [worker, status]),
      [
        [1, 'applied'],
        [2, 'applied'],
      ],
    )
    for (const { pid, hits, misses } of body) assert.ok(pid > 0 && hits + misses > 0)
  })
  await check('while one worker burns, light requests go on at the other', async () => {
    const burn = get('/api/burn?ms=1000')
    const times = []
    for (let n = 0; n < 50; n++) {
      const start = performance.now()
      await get('/api/prices/mug')
      times.push(performance.now() - start)
    }
    const { status, headers, body } = await burn
    assert.ok(status === 200 && body.primes > 1000 && headers['x-worker'])
    const slowest = Math.max(...times)
    assert.ok(slowest < 500, `the slowest took ${slowest} ms`)
    return `50 requests, the slowest ${slowest.toFixed(0)} ms`
  })
}
