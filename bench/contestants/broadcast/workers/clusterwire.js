import { joinCluster } from '@clusterwire/core/cluster'
import { apply } from './cache.js'
import { prices } from './contract.js'

const worker = await joinCluster()
worker.subscribe(prices.changed, apply)
await worker.ready()
