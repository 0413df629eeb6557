// When a worker whose app knows nothing of the cluster takes work: everything that the app has begun to listen on does listen, and the
// app's module has been loaded. What fails before that fails the worker's start, and a reload stops there.

import { realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { DrainingError } from '@clusterwire/core'
import type { AdoptedMembership } from '@clusterwire/core/cluster'

/** Milliseconds that loading may take once something listens: a module may wait for things at its top level, even for ever. */
const LOAD_GRACE = 1_000

/** Gets a worker ready. */
export class Readiness {
  readonly #join: () => AdoptedMembership
  readonly #loaded: () => Promise<unknown>
  #opening = 0
  #listens = false
  #state: 'waiting' | 'loading' | 'ready' = 'waiting'

  /** @param join the worker's membership */
  constructor(join: () => AdoptedMembership, loaded: () => Promise<unknown> = mainModule) {
    this.#join = join
    this.#loaded = loaded
  }

  /** A server is about to listen; the function returned says whether it does. */
  begin(): (listens: boolean) => void {
    let over = false
    this.#opening++
    return (listens) => {
      if (over) return
      over = true
      this.#opening--
      this.#listens ||= listens
      this.#check()
    }
  }

  #check(): void {
    if (this.#opening > 0 || !this.#listens || this.#state !== 'waiting') return
    this.#state = 'loading'
    void Promise.race([this.#loaded(), sleep(LOAD_GRACE, undefined, { ref: false })]).then(() => {
      this.#state = 'waiting'
      if (this.#opening > 0) return // It has begun to listen on something else meanwhile.
      this.#state = 'ready'
      void this.#getReady()
    })
  }

  async #getReady(): Promise<void> {
    const membership = this.#join()
    // The app says by itself when it is ready.
    if (membership.joinedByApp) return
    try {
      await (await membership.worker).ready()
    } catch (error) {
      // It has been told to finish before it began.
      if (!(error instanceof DrainingError)) throw error
    }
  }
}

/**
 * `import()`, hidden from the build: in what it makes for `--require` that would be `require()`, which takes no ES module. Where strings may not become
 * code (`--disallow-code-generation-from-strings`), it fails.
 */
async function imported(url: string): Promise<unknown> {
  return new Function('url', 'return import(url)')(url)
}

/** Resolves when the module that this process was started with has been loaded; never, if that fails: it ends the process. */
async function mainModule(): Promise<void> {
  const main = process.argv[1]
  // A CommonJS module is loaded by the time that anything asynchronous happens.
  if (main === undefined || process.mainModule !== undefined) return
  const path = process.execArgv.includes('--preserve-symlinks-main') ? main : realpathSync(main)
  // It is being loaded, and no module is loaded twice.
  await imported(pathToFileURL(path).href).catch(() => new Promise(() => {}))
}
