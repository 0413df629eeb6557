// The runner's handle on one contestant: starts its process, asks it for measurements one at a time, and ends it.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const DRIVER = fileURLToPath(new URL('./driver.js', import.meta.url))
/** What a contestant may take beyond the time of a measurement, and to end by itself, before it is killed; in milliseconds. */
const GRACE = 10_000
/** As much more for each of its workers: a busy machine may take long to start many. */
const GRACE_PER_WORKER = 2_000

export class Contestant {
  #process
  #ended
  #grace

  /** @param execArgv options of Node for its primary and, as they inherit them, for its workers */
  constructor(file, workers, execArgv = []) {
    this.file = file
    this.#grace = GRACE + workers * GRACE_PER_WORKER
    this.#process = fork(DRIVER, [file, String(workers)], {
      execArgv,
      // What a contestant logs is not part of our output.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#ended = once(this.#process, 'exit')
  }

  get pid() {
    return this.#process.pid
  }

  async start() {
    Object.assign(this, await this.#ask('start'))
    return this
  }

  /** @param load see lib/load.js */
  measure(load) {
    return this.#ask('measure', load)
  }

  async close() {
    if (!this.#process.connected) return
    await this.#ask('close').catch((error) => console.error(error.message))
    const kill = setTimeout(() => this.#process.kill('SIGKILL'), this.#grace)
    await this.#ended
    clearTimeout(kill)
  }

  /** One that hangs is killed, which its driver's workers notice. */
  async #ask(command, load) {
    const kill = setTimeout(
      () => this.#process.kill('SIGKILL'),
      this.#grace + 4 * (load?.milliseconds ?? 0),
    )
    this.#process.send({ command, load })
    const [answer] = await Promise.race([once(this.#process, 'message'), this.#ended])
    clearTimeout(kill)
    if (typeof answer !== 'object' || answer === null)
      throw new Error(`${this.file}: its process hung or ended during "${command}"`)
    if (answer.error) throw new Error(`${this.file}: ${answer.error}`)
    return answer.result
  }
}
