// What the primary and the workers share as processes.

import { AsyncLocalStorage } from 'node:async_hooks'
import * as diagnostics from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { CHANNELS, type Channels } from '../channels.js'
import type { IncomingExchange } from '../incoming.js'
import type { PeerOptions } from '../peer.js'
import type { ScopeStore } from '../scopes.js'
import { holdingClock, systemClock } from './clock.js'

/** From this version on, Node keeps them without watching every promise. */
const SCOPES_ARE_CHEAP = Number.parseInt(process.versions.node, 10) >= 24

/** Which request the running code is handling: nested calls inherit its deadline, cancellation and metadata. */
export function createScopes(): ScopeStore {
  return new AsyncLocalStorage<IncomingExchange | undefined>()
}

/** Node's diagnostics channels: `clusterwire:call.start`, `clusterwire:peer.down` and so on. */
export function createChannels(): Channels {
  const channels = CHANNELS.map((name) => [name, diagnostics.channel(`clusterwire:${name}`)])
  return Object.fromEntries(channels) as Channels
}

/** Where errors go that have nobody else to go to. */
export function printError(error: unknown, where: string): void {
  process.stderr.write(`clusterwire: ${where}: ${inspect(error)}\n`)
}

/**
 * Whoever reads what this process prints may stop doing so. Node then raises an error that ends the process, unless somebody listens; another
 * error of its outputs is raised as before.
 */
export function outliveReaders(): void {
  for (const output of [process.stdout, process.stderr])
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
}

/**
 * What a peer that has a process of its own gets from it.
 *
 * @param callSites whether errors show where a call was made. Default: when NODE_ENV is "development"
 */
export function surroundings(callSites: boolean | undefined): Surroundings {
  const { NODE_ENV } = process.env
  return {
    clock: systemClock,
    // They tell of a program's insides, so they cross processes in development only.
    stacks: NODE_ENV !== 'production',
    // Finding out where a call was made costs some microseconds.
    callSites: callSites ?? NODE_ENV === 'development',
    scopes: createScopes(),
    scopesAreCheap: SCOPES_ARE_CHEAP,
    channels: createChannels(),
  }
}

type Surroundings = Pick<
  PeerOptions,
  'clock' | 'stacks' | 'callSites' | 'scopes' | 'scopesAreCheap' | 'channels'
>

/**
 * Waits until the work is done, whatever came of it, for so many milliseconds at most: of a time in which this process itself was stopped, a second
 * counts. Whether it was.
 */
export async function atMost(ms: number, work: Promise<unknown>): Promise<boolean> {
  let cancel = () => {}
  const late = new Promise<boolean>((resolve) => {
    cancel = holdingClock.after(Math.max(0, ms), () => resolve(false))
  })
  const done = work.then(
    () => true,
    () => true,
  )
  const inTime = await Promise.race([done, late])
  cancel()
  return inTime
}
