// Two hops of process.send, relayed by hand: the primary passes each message of the one worker on to the other.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const name = 'raw-json'
export const version = ''

const CALLER = fileURLToPath(new URL('./workers/raw-caller.js', import.meta.url))
const CALLEE = fileURLToPath(new URL('../rpc/workers/raw.js', import.meta.url))

export async function start() {
  const caller = fork(CALLER)
  const callee = fork(CALLEE)
  let onResult
  callee.on('message', (message) => caller.send(message))
  caller.on('message', (message) => {
    if (message.id !== undefined) callee.send(message)
    else onResult(message.result)
  })
  await once(caller, 'spawn')
  return {
    measure: (load) =>
      new Promise((resolve) => {
        onResult = resolve
        caller.send({ load })
      }),
    close() {
      caller.disconnect()
      callee.disconnect()
    },
  }
}
