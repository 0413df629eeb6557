import { joinCluster } from '@clusterwire/core/cluster'
import { serveFetch } from '@clusterwire/http-adapter'
import { Hono } from 'hono'

const worker = await joinCluster()
const app = new Hono()
app.get('/', (c) => c.json({ hello: 'hono', pid: process.pid }))
app.post('/echo', async (c) => c.json(await c.req.json()))

serveFetch(worker, app.fetch)
await worker.ready()
