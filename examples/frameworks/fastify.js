import { joinCluster } from '@clusterwire/core/cluster'
import { serveHttp } from '@clusterwire/http-adapter'
import fastify from 'fastify'

const worker = await joinCluster()
const app = fastify()
app.get('/', async () => ({ hello: 'fastify', pid: process.pid }))
app.post('/echo', async ({ body }) => body)

await app.ready()
serveHttp(worker, app)
await worker.ready()
