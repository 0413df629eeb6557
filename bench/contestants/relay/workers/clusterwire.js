import { joinCluster } from '@clusterwire/core/cluster'
import { drive } from '../../../lib/load.js'
import { pricing } from '../../rpc/workers/contract.js'
import { quote } from '../../rpc/workers/quote.js'
import { caller } from './contract.js'

const worker = await joinCluster()
worker.serve(pricing, { quote })
worker.serve(caller, {
  measure({ callee, load }) {
    const prices = worker.client(pricing, { to: callee })
    return drive((input) => prices.quote(input), load)
  },
})
await worker.ready()
