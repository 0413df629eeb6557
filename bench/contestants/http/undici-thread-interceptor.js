// undici-thread-interceptor: the app in worker threads; in front a node:http server that passes each request on with undici, as the
// package's README shows it.
import './workers/with-resolvers.js'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Worker } from 'node:worker_threads'
import { Agent, request } from 'undici'
import { createThreadInterceptor } from 'undici-thread-interceptor'
import { versionOf } from '../../lib/versions.js'

export const name = 'undici-thread-interceptor'
export const version = versionOf('undici-thread-interceptor')

export async function start(count) {
  const interceptor = createThreadInterceptor({ domain: '.local' })
  const threads = Array.from(
    { length: count },
    () => new Worker(new URL('./workers/thread.js', import.meta.url)),
  )
  for (const thread of threads) await interceptor.route('app', thread)
  const dispatcher = new Agent().compose(interceptor)

  async function forward(req, res) {
    const { method, url } = req
    const answer = await request(`http://app.local${url}`, {
      method,
      headers: { ...req.headers, host: 'app.local' },
      body: method === 'GET' ? undefined : req,
      dispatcher,
    })
    res.writeHead(answer.statusCode, answer.headers)
    answer.body.on('error', () => res.destroy()).pipe(res)
  }

  // A client that goes before its answer is no reason to end.
  const server = createServer((req, res) => forward(req, res).catch(() => res.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    async close() {
      server.close()
      server.closeAllConnections()
      await Promise.all(threads.map((thread) => thread.terminate()))
    },
  }
}
