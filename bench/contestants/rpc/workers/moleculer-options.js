// How the nodes find each other: by a fixed list, as there may be no multicast here. Everything else is Moleculer's default.
import { freePort } from '../../../lib/port.js'

/** @returns options for all of these nodes alike */
export async function brokerOptions(ids) {
  const urls = {}
  for (const id of ids) urls[id] = `tcp://127.0.0.1:${await freePort()}`
  return {
    logger: false,
    transporter: { type: 'TCP', options: { udpDiscovery: false, useHostname: false, urls } },
  }
}
