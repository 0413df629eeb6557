import { json } from 'node:stream/consumers'
import { joinCluster } from '@clusterwire/core/cluster'
import { serveHttp } from '@clusterwire/http-adapter'
import Koa from 'koa'

const worker = await joinCluster()
const app = new Koa()
app.use(async (ctx) => {
  if (ctx.path === '/') ctx.body = { hello: 'koa', pid: process.pid }
  else if (ctx.path === '/echo') ctx.body = await json(ctx.req)
})

serveHttp(worker, app)
await worker.ready()
