// The memory of one process.

import { existsSync, readFileSync } from 'node:fs'

const hasSmaps = existsSync('/proc/self/smaps_rollup')

/**
 * What the figure is, for the reader. RSS counts what processes share (Node's own 50 MiB of code, mostly) once for each of them, and so says
 * more than a worker costs; the proportional set size divides it among those who share it, so that the figures of all processes add up
 * to what the machine has given away.
 */
export const memoryScope = hasSmaps ? 'PSS' : 'RSS: no /proc/PID/smaps_rollup here'

/** Bytes that a process takes. NaN where there is no /proc. */
export function memoryOf(pid) {
  const [file, field] = hasSmaps
    ? [`/proc/${pid}/smaps_rollup`, /^Pss:\s+(\d+) kB/m]
    : [`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB/m]
  if (!existsSync(file)) return Number.NaN
  return Number(field.exec(readFileSync(file, 'utf8'))?.[1]) * 1024
}
