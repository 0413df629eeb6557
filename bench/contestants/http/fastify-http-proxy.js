// @fastify/http-proxy in front of one node:http process: all defaults, as its README shows it.
import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'
import { versionOf } from '../../lib/versions.js'
import { startServers } from './workers/servers.js'

export const name = 'fastify-http-proxy'
export const version = versionOf('@fastify/http-proxy')

export async function start() {
  const servers = await startServers(1)
  const fastify = Fastify()
  fastify.register(proxy, { upstream: `http://127.0.0.1:${servers.ports[0]}` })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: fastify.server.address().port,
    async close() {
      servers.close()
      await fastify.close()
    },
  }
}
