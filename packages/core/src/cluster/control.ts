// What the primary and its workers say to each other about themselves, as two contracts like any other.

import { type Contract, contract, MAX_TIMEOUT, type Procedure, procedure } from '../contract.js'
import type { Schema } from '../schema.js'
import type { PeerData } from '../stats.js'
import { shape, unchecked } from './shape.js'
import { type Vitals, vitalsSchema } from './vitals.js'

/** Served by the primary. */
export const primaryControl: Contract<{
  readonly ready: Procedure<undefined, undefined>
  readonly retire: Procedure<undefined, undefined>
  readonly failing: Procedure<Schema<{ readonly error: string }>, undefined>
}> = contract('clusterwire.primary', {
  /** The calling worker has registered what it serves, and takes work from now on. */
  ready: procedure(),
  /** The calling worker is to finish and end, and another to take its place. */
  retire: procedure(),
  /** An error that nothing caught is about to end the calling worker. */
  failing: procedure({ input: shape({ error: 'string' }) }),
})

/** Served by every worker. */
export const workerControl: Contract<{
  readonly drain: Procedure<
    Schema<{ readonly graceMs: number }>,
    Schema<{ readonly done: boolean }>
  >
  readonly beat: Procedure<undefined, Schema<Vitals>>
  readonly stats: Procedure<undefined, Schema<PeerData>>
}> = contract('clusterwire.worker', {
  /** Run the drain hooks and finish what is running. Answered when that is done, or the grace is over. */
  drain: procedure({
    input: shape({ graceMs: 'number' }),
    output: shape({ done: 'boolean' }),
  }),
  /** Answered as soon as the event loop gets to it: that is what it is asked for. */
  beat: procedure({ output: vitalsSchema, timeout: MAX_TIMEOUT }),
  /** What it has done since its start. */
  stats: procedure({ output: unchecked<PeerData>(), timeout: 5_000 }),
})
