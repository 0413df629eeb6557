// The CPU time that a process and all its descendants have used, threads included. Linux only; elsewhere it knows of this process alone.

import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Times in /proc/PID/stat are in ticks of 10 ms on every Linux that Node runs on. */
const TICK_MICROS = 10_000

const hasProc = existsSync('/proc/self/stat')
/** Nanoseconds instead of ticks, where the kernel counts them. */
const hasSchedstat = existsSync('/proc/self/schedstat')

/** Microseconds of CPU used so far by the tree of processes under `root`. Take differences of it. */
export function cpuMicros(root = process.pid) {
  if (!hasProc) {
    const { user, system } = process.cpuUsage()
    return user + system
  }
  return tree(root).reduce((sum, pid) => sum + cpuOf(pid), 0)
}

/** What the CPU figure covers on this machine, for the reader. */
export const cpuScope = hasProc ? 'all processes and threads' : 'the primary only (no /proc here)'

/** A process and its descendants, as far as they live. */
function tree(root) {
  const children = new Map()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(name)
    if (!children.has(parent)) children.set(parent, [])
    children.get(parent).push(Number(name))
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

function parentOf(pid) {
  const stat = read(`/proc/${pid}/stat`)
  return Number(afterName(stat)[1])
}

function cpuOf(pid) {
  if (!hasSchedstat) {
    const fields = afterName(read(`/proc/${pid}/stat`))
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MICROS
  }
  let nanos = 0
  for (const thread of threadsOf(pid))
    nanos += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1)[0])
  return nanos / 1000
}

function threadsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

/** The fields behind the process's name, which may hold spaces itself. */
function afterName(stat) {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** A process may end between being listed and being read. */
function read(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
