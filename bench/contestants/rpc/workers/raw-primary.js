// The calling side of raw process.send, as minimal as it gets: no deadline, no errors, no death of a worker.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const WORKER = fileURLToPath(new URL('./raw.js', import.meta.url))

export async function start(workers, serialization) {
  const waiting = new Map()
  const children = Array.from({ length: workers }, () => fork(WORKER, { serialization }))
  for (const child of children)
    child.on('message', ({ id, output }) => {
      waiting.get(id)(output)
      waiting.delete(id)
    })
  await Promise.all(children.map((child) => once(child, 'spawn')))
  let lastId = 0
  return {
    call: (input) =>
      new Promise((resolve) => {
        const id = ++lastId
        waiting.set(id, resolve)
        children[id % workers].send({ id, input })
      }),
    close: () => {
      for (const child of children) child.disconnect()
    },
  }
}
