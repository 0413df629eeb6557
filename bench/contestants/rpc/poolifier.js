// poolifier with cluster workers.
import { fileURLToPath } from 'node:url'
import { FixedClusterPool } from 'poolifier'
import { versionOf } from '../../lib/versions.js'

export const name = 'poolifier'
export const version = versionOf('poolifier')

export async function start(workers) {
  const pool = new FixedClusterPool(
    workers,
    fileURLToPath(new URL('./workers/poolifier.cjs', import.meta.url)),
  )
  return { call: (input) => pool.execute(input), close: () => pool.destroy() }
}
