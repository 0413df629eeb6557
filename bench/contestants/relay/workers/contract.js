// What primary and workers agree on, beyond the pricing contract of the rpc contestants.
import { contract, procedure } from '@clusterwire/core'
import { z } from 'zod'

export const caller = contract('caller', {
  /** Puts a load on another worker. */
  measure: procedure({
    input: z.object({ callee: z.int(), load: z.any() }),
    output: z.any(),
  }),
})
