// What primary and worker agree on.
import { contract, procedure } from '@clusterwire/core'
import { z } from 'zod'

export const pricing = contract('pricing', {
  quote: procedure({
    input: z.object({ sku: z.string(), quantity: z.int().positive() }),
    output: z.object({ cents: z.int() }),
  }),
})
