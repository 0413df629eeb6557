// Orders and stock: the ledger in the primary decides, whichever worker asks.

import { Router } from 'express'
import { ledger } from './contract.js'

/** @param {import('@clusterwire/core/cluster').ClusterWorker} worker */
export function orderRoutes(worker) {
  const record = worker.client(ledger, { to: 'primary' })
  const routes = Router()

  routes.get('/stock', async (_req, res) => {
    res.json(await record.stock())
  })

  routes.post('/orders', async ({ body }, res) => {
    const { left } = await record.take(body)
    res.status(201).json({ sku: body.sku, quantity: body.quantity, left })
  })

  return routes
}
