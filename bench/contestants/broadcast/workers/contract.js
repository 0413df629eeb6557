// What primary and workers agree on.
import { contract, topic } from '@clusterwire/core'
import { z } from 'zod'

export const prices = contract('prices', {
  changed: topic(z.object({ sku: z.string(), cents: z.int() })),
})
