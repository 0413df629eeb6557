// http-proxy in front of one node:http process. By default it opens a connection for each request; with an agent it keeps them.
import { once } from 'node:events'
import { Agent } from 'node:http'
import httpProxy from 'http-proxy'
import { freePort } from '../../lib/port.js'
import { versionOf } from '../../lib/versions.js'
import { startServers } from './workers/servers.js'

export const name = 'http-proxy'
export const version = versionOf('http-proxy')

export async function start() {
  const servers = await startServers(1)
  const port = await freePort()
  const proxy = httpProxy.createProxyServer({
    target: `http://127.0.0.1:${servers.ports[0]}`,
    agent: new Agent({ keepAlive: true }),
  })
  // A client that goes before its answer is no reason to end.
  proxy.on('error', (_error, _req, res) => res.destroy())
  proxy.listen(port, '127.0.0.1')
  await once(proxy._server, 'listening')
  return {
    port,
    close() {
      proxy.close()
      servers.close()
    },
  }
}
