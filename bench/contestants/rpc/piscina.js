// piscina: worker threads.
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { versionOf } from '../../lib/versions.js'

export const name = 'piscina'
export const version = versionOf('piscina')

export async function start(workers) {
  const pool = new Piscina({
    filename: fileURLToPath(new URL('./workers/task.js', import.meta.url)),
    minThreads: workers,
    maxThreads: workers,
  })
  return { call: (input) => pool.run(input), close: () => pool.destroy() }
}
