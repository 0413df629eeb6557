// A process of its own for each contestant, so that none runs on code or heap that another has warmed up or worn out. It is that
// contestant's primary; lib/contestant.js is its other side.

import { pathToFileURL } from 'node:url'
import { cpuMicros } from './cpu.js'
import { drive } from './load.js'

const [file, workers] = process.argv.slice(2)

/** `{ call(input) }`, or `{ measure(load) }` when the caller is not the primary, or `{ port }` when it is outside; and `close()`. */
let running

const commands = {
  async start() {
    const contestant = await import(pathToFileURL(file))
    running = await contestant.start(Number(workers))
    const { name, version, note } = contestant
    return { name, version, note, port: running.port }
  },

  async measure(load) {
    const before = cpuMicros()
    const { ops, seconds, ...latency } = await (running.measure?.(load) ??
      drive(running.call, load))
    const cpuMicrosPerOp = (cpuMicros() - before) / ops
    return { opsPerSec: ops / seconds, cpuMicrosPerOp, ...latency }
  },

  async close() {
    await running?.close()
  },
}

process.on('message', async ({ command, load }) => {
  const answer = await commands[command](load).then(
    (result) => ({ result }),
    (error) => ({ error: error?.stack ?? String(error) }),
  )
  // Not exit(): the contestant's own processes may still be on their way out, and profiles are written at the end.
  process.send(answer, () => command === 'close' && process.disconnect())
})
// The runner is gone, or done with us; what has not ended by now won't.
process.on('disconnect', () => setTimeout(() => process.exit(), 5_000).unref())
