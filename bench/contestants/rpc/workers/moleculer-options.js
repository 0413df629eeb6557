// How the nodes find each other: by a fixed list, as there may be no multicast here. Everything else is Moleculer's default.
import { once } from 'node:events'
import { createServer } from 'node:net'

/** @returns options for all of these nodes alike */
export async function brokerOptions(ids) {
  const urls = {}
  for (const id of ids) urls[id] = `tcp://127.0.0.1:${await freePort()}`
  return {
    logger: false,
    transporter: { type: 'TCP', options: { udpDiscovery: false, useHostname: false, urls } },
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
