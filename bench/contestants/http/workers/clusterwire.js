import { joinCluster } from '@clusterwire/core/cluster'
import { serveHttp } from '@clusterwire/http-adapter'
import { app } from './app.js'

const worker = await joinCluster()
serveHttp(worker, app)
await worker.ready()
