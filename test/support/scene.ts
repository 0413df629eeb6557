// Plays a scene of test/fixtures/channel-scenes.js in a primary of its own, and looks at what is left of it.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { isAlive, until } from './cluster.js'

/** How a worker ended. */
export interface Exit {
  readonly number: number
  readonly kind: string
  readonly reason: string
  readonly code: number | null
}

/** What a scene tells. */
export interface Played<T> {
  readonly seen: T
  readonly exits: readonly Exit[]
  readonly stderr: string
}

/**
 * Plays a scene. Whatever it is about, the primary lives on, nothing is uncaught or left pending, and with the cluster its processes end.
 *
 * @param begin what to do to the primary before the scene begins. Default: both of its outputs are read
 */
export async function play<T>(
  scene: string,
  details: Record<string, unknown> = {},
  begin: (primary: ChildProcess) => void = (primary) => primary.stdout?.resume(),
): Promise<Played<T>> {
  const script = fileURLToPath(new URL('../fixtures/channel-primary.js', import.meta.url))
  const child = fork(script, [JSON.stringify({ scene, ...details })], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let stderr = ''
  child.stderr?.on('data', (text) => {
    stderr += text
  })
  // With all that it has printed.
  const exited = once(child, 'close')
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
  })
  const message = async () => {
    const [first] = await Promise.race([once(child, 'message'), exited.then(() => [undefined])])
    if (first === undefined) throw new Error(`The primary ended: ${stderr.slice(-4_000)}`)
    return first
  }
  expect(await message()).toBe('ready')
  begin(child)
  child.send('begin')
  const { seen, exits, uncaught, pending, pids } = await message()
  expect(uncaught).toEqual([])
  expect(pending).toBe(0)
  expect(await exited).toEqual([0, null])
  await until('the end of every process', () => !pids.some(isAlive))
  return { seen, exits, stderr }
}
