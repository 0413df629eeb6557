import { joinCluster } from '@clusterwire/core/cluster'

const worker = await joinCluster()
if (process.argv[2] === 'app') await import('./app.js')
await worker.ready()
