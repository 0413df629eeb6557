import { drive } from '../../../lib/load.js'

const waiting = new Map()
let lastId = 0

const call = (input) =>
  new Promise((resolve) => {
    const id = ++lastId
    waiting.set(id, resolve)
    process.send({ id, input })
  })

process.on('message', ({ id, output, load }) => {
  if (load !== undefined) return measure(load)
  waiting.get(id)(output)
  waiting.delete(id)
})

async function measure(load) {
  process.send({ result: await drive(call, load) })
}
