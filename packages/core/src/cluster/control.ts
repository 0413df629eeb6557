// What the primary and its workers say to each other about themselves, as two contracts like any other.

import { z } from 'zod'
import { type Contract, contract, type Procedure, procedure } from '../contract.js'

/** Served by the primary. */
export const primaryControl: Contract<{
  readonly ready: Procedure<undefined, undefined>
  readonly retire: Procedure<undefined, undefined>
}> = contract('clusterwire.primary', {
  /** The calling worker has registered what it serves, and takes work from now on. */
  ready: procedure(),
  /** The calling worker is to finish and end, and another to take its place. */
  retire: procedure(),
})

const drainInput: z.ZodObject<{ graceMs: z.ZodNumber }> = z.object({
  graceMs: z.number().positive(),
})

/** Served by every worker. */
export const workerControl: Contract<{
  readonly drain: Procedure<typeof drainInput, undefined>
}> = contract('clusterwire.worker', {
  /** Run the drain hooks and finish what is running. Answered when what was running is done, or the grace is over. */
  drain: procedure({ input: drainInput }),
})
