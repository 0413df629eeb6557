// A worker: joins the cluster, takes its part in it, and answers requests with an ordinary Express app.

import { joinCluster } from '@clusterwire/core/cluster'
import { serveHttp } from '@clusterwire/http-adapter'
import { createApp } from './app.js'
import { ledger, prices, shopWorker } from './contract.js'
import { Feed } from './feed.js'
import { PriceCache } from './price-cache.js'

const worker = await joinCluster()
const cache = new PriceCache(worker.client(ledger, { to: 'primary' }))
worker.subscribe(prices.changed, ({ sku }) => {
  cache.drop(sku)
  worker.publish(prices.dropped, { sku, worker: worker.number })
})

const feed = new Feed(worker)
worker.onDrain(() => feed.end())

worker.serve(shopWorker, {
  stats: () => ({
    pid: process.pid,
    hits: cache.hits,
    misses: cache.misses,
    cached: cache.size,
    listeners: feed.size,
  }),
})
serveHttp(worker, createApp({ worker, cache, feed }))
await worker.ready()
