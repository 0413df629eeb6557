import { joinCluster } from '@clusterwire/core/cluster'
import { serveHttp } from '@clusterwire/http-adapter'
import express from 'express'

const worker = await joinCluster()
const app = express()
app.use(express.json())
app.get('/', (_req, res) => {
  res.json({ hello: 'express', pid: process.pid })
})
app.post('/echo', (req, res) => {
  res.json(req.body)
})

serveHttp(worker, app)
await worker.ready()
