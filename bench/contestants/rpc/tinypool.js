// tinypool with child processes.
import { fileURLToPath } from 'node:url'
import { Tinypool } from 'tinypool'
import { versionOf } from '../../lib/versions.js'

export const name = 'tinypool'
export const version = versionOf('tinypool')

export async function start(workers) {
  const pool = new Tinypool({
    runtime: 'child_process',
    filename: fileURLToPath(new URL('./workers/task.js', import.meta.url)),
    minThreads: workers,
    maxThreads: workers,
  })
  return { call: (input) => pool.run(input), close: () => pool.destroy() }
}
