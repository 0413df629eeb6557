// The Express app that runs in every worker. It knows the cluster by its contracts only.

import { fileURLToPath } from 'node:url'
import express from 'express'
import { burn } from './burn.js'
import { answerError, notFound } from './errors.js'
import { orderRoutes } from './orders.js'
import { priceRoutes } from './prices.js'
import { workerStats } from './worker-stats.js'

const page = fileURLToPath(new URL('./public', import.meta.url))

/**
 * @param {object} parts
 * @param {import('@clusterwire/core/cluster').ClusterWorker} parts.worker
 * @param {import('./price-cache.js').PriceCache} parts.cache
 * @param {import('./feed.js').Feed} parts.feed
 */
export function createApp({ worker, cache, feed }) {
  const app = express()
  app.disable('x-powered-by')
  app.use((_req, res, next) => {
    res.set('x-worker', `${worker.number} ${process.pid}`)
    next()
  })
  app.use(express.json())
  app.use('/api/prices', priceRoutes(worker, cache))
  app.use('/api', orderRoutes(worker))
  app.get('/api/burn', burn)
  app.get('/api/events', (_req, res) => feed.open(res))
  app.get('/api/workers', workerStats(worker))
  app.use(express.static(page))
  app.use(notFound)
  app.use(answerError)
  return app
}
