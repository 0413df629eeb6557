// birpc over process.send, with its channel as its README shows it for message ports.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createBirpc } from 'birpc'
import { versionOf } from '../../lib/versions.js'

export const name = 'birpc'
export const version = versionOf('birpc')

const WORKER = fileURLToPath(new URL('./workers/birpc.js', import.meta.url))

export async function start(workers) {
  const children = Array.from({ length: workers }, () => fork(WORKER))
  const rpcs = children.map((child) =>
    createBirpc({}, { post: (data) => child.send(data), on: (fn) => child.on('message', fn) }),
  )
  let turn = 0
  return {
    call: (input) => rpcs[turn++ % workers].quote(input),
    close: () => {
      for (const child of children) child.disconnect()
    },
  }
}
