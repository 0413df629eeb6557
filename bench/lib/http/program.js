// A load generator in Node, in a process of its own, so that its CPU time is not the contestant's and its pauses are not the runner's.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** @param name `autocannon` or `mixed`: a file beside this one that exports `run(load)` */
export async function generate(name, load) {
  const program = fork(fileURLToPath(import.meta.url), [name], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  program.send(load)
  const ended = once(program, 'exit').then(() => {
    throw new Error(`The load generator ${name} ended early`)
  })
  const [result] = await Promise.race([once(program, 'message'), ended])
  program.disconnect()
  await ended.catch(() => {})
  return result
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { run } = await import(`./${process.argv[2]}.js`)
  process.once('message', async (load) => process.send(await run(load)))
}
