// Moleculer with its TCP transporter: the primary is one node, each worker another, on loopback.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ServiceBroker } from 'moleculer'
import { versionOf } from '../../lib/versions.js'
import { brokerOptions } from './workers/moleculer-options.js'

export const name = 'moleculer'
export const version = versionOf('moleculer')

const WORKER = fileURLToPath(new URL('./workers/moleculer.js', import.meta.url))

export async function start(workers) {
  const ids = Array.from({ length: workers }, (_, i) => `worker-${i + 1}`)
  const options = await brokerOptions(['primary', ...ids])
  const children = ids.map((id) => fork(WORKER, [JSON.stringify(options), id]))
  const broker = new ServiceBroker({ ...options, nodeID: 'primary' })
  await Promise.all([broker.start(), ...children.map((child) => once(child, 'message'))])
  await broker.waitForServices('pricing')
  return {
    call: (input) => broker.call('pricing.quote', input),
    async close() {
      for (const child of children) child.disconnect()
      await broker.stop()
    },
  }
}
