// What the examples' checks share: one line for each check, and a main job that never outlives them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

let failures = 0
// So that what this has started is ended, by the handlers of 'exit', when this is told to end.
process.once('SIGTERM', () => process.exit(143)).once('SIGINT', () => process.exit(130))

/**
 * Runs one check and prints how it went; a failed one makes the process exit with code 1.
 *
 * @param {string} sentence what is to be true
 * @param {() => Promise<string | void>} run throws when it is not; what it resolves with is added to the line
 */
export async function check(sentence, run) {
  try {
    const detail = await run()
    console.log(`ok      ${sentence}${detail ? ` (${detail})` : ''}`)
  } catch (error) {
    failures++
    process.exitCode = 1
    console.log(`FAILED  ${sentence}\n${error instanceof Error ? error.stack : error}`)
  }
}

/** How many checks have failed. */
export const failed = () => failures

/** @typedef {ReturnType<typeof start>} Program */

/**
 * Starts a script of ours in a process of its own, which does not outlive this one.
 *
 * @param {URL} file
 * @param {Record<string, string>} [env]
 * @param {string[]} [args]
 */
export function launch(file, env, args = []) {
  return start([process.execPath, fileURLToPath(file), ...args], { env })
}

/**
 * Starts a program as a terminal does, in a process group of its own, which does not outlive this process.
 *
 * @param {string[]} command the program and its arguments
 * @param {{ cwd?: URL | undefined, env?: Record<string, string> | undefined }} [options]
 */
export function start([program = '', ...args], { cwd, env } = {}) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, detached: true })
  /** @type {(signal: NodeJS.Signals) => void} */
  const killGroup = (signal) => {
    try {
      process.kill(-Number(child.pid), signal)
    } catch {
      // Nobody is left in it.
    }
  }
  const end = () => killGroup('SIGKILL')
  process.once('exit', end)
  const text = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (more) => {
    text.stdout += more
  })
  child.stderr.setEncoding('utf8').on('data', (more) => {
    text.stderr += more
  })

  // Comes when nobody holds its output open any more: when all the processes that it has started are gone too.
  const ended = once(child, 'close').then(([code]) => {
    process.off('exit', end)
    return code
  })

  /** @type {(pattern: RegExp) => Promise<string>} */
  const printed = async (pattern) => {
    for (;;) {
      const found = text.stdout.match(pattern)
      if (found) return found[0]
      if (child.exitCode !== null) throw new Error(`It ended early: ${text.stderr}`)
      await Promise.race([once(child.stdout, 'data'), ended])
    }
  }

  const { pid } = child
  return {
    pid,
    text,
    ended,
    printed,
    kill: child.kill.bind(child),
    ctrlC: () => killGroup('SIGINT'),
  }
}

/**
 * Resolves with the first answer that is not undefined, false or null; rejects when there is none in time.
 *
 * @template T
 * @param {number} ms
 * @param {() => Promise<T>} ask
 */
export async function within(ms, ask) {
  const end = performance.now() + ms
  while (performance.now() < end) {
    const answer = await ask()
    if (answer) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`it did not come true within ${ms} ms`)
}
