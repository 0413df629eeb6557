import { joinCluster } from '@clusterwire/core/cluster'

const worker = await joinCluster()
await worker.ready()
