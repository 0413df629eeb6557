// Prices: read from the worker's cache, changed in the ledger and then in every worker's cache.

import { Router } from 'express'
import { catalog } from './catalog.js'
import { ledger, prices } from './contract.js'

/**
 * @param {import('@clusterwire/core/cluster').ClusterWorker} worker
 * @param {import('./price-cache.js').PriceCache} cache
 */
export function priceRoutes(worker, cache) {
  const record = worker.client(ledger, { to: 'primary' })
  const routes = Router()

  routes.get('/', async (_req, res) => {
    const priced = catalog.map(async ({ sku, name }) => ({
      sku,
      name,
      cents: await cache.get(sku),
    }))
    res.json(await Promise.all(priced))
  })

  routes.get('/:sku', async ({ params: { sku } }, res) => {
    res.json({ sku, cents: await cache.get(sku) })
  })

  // The answer waits for every worker: who asks any of them after it gets the new price.
  routes.put('/:sku', async ({ params: { sku }, body }, res) => {
    await record.setPrice({ ...body, sku })
    const receipt = await worker.broadcast(prices.changed, { sku }, { timeout: 5_000 })
    const workers = receipt.outcomes.map(({ member, status }) => ({
      worker: member.number,
      status,
    }))
    res.status(receipt.ok ? 200 : 504).json({ sku, cents: body.cents, by: worker.number, workers })
  })

  return routes
}
