// Starts two workers with the framework that is named, `node primary.js koa`, and hands them the requests.
import { startPrimary } from '@clusterwire/core/cluster'
import { httpFront } from '@clusterwire/http-adapter'

const { PORT = '3000' } = process.env
const [, , framework = 'express'] = process.argv

const primary = await startPrimary({
  exec: new URL(`./${framework}.js`, import.meta.url),
  workers: 2,
})
const { port } = await httpFront(primary).listen(Number(PORT), '127.0.0.1')
console.log(`${framework}: http://127.0.0.1:${port}`)
