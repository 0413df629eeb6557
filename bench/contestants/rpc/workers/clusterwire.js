import { joinCluster } from '@clusterwire/core/cluster'
import { pricing } from './contract.js'
import { quote } from './quote.js'

const worker = await joinCluster()
worker.serve(pricing, { quote })
await worker.ready()
