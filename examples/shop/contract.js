// Everything that the shop's processes say to each other. Each of them imports this file, and no other process's code.

import { contract, procedure, topic } from '@clusterwire/core'
import { z } from 'zod'

const sku = z.string().min(1).max(40)
const cents = z.int().positive().max(100_000_00)
const left = z.int().nonnegative()
const UNKNOWN_SKU = z.object({ sku })

/** Stock and prices of record. The primary serves it. */
export const ledger = contract('ledger', {
  take: procedure({
    input: z.object({ sku, quantity: z.int().positive().max(1000) }),
    output: z.object({ left }),
    errors: { UNKNOWN_SKU, OUT_OF_STOCK: z.object({ sku, left }) },
  }),
  stock: procedure({ output: z.array(z.object({ sku, left })), idempotent: true }),
  price: procedure({
    input: z.object({ sku }),
    output: z.object({ cents }),
    errors: { UNKNOWN_SKU },
    idempotent: true,
  }),
  setPrice: procedure({
    input: z.object({ sku, cents }),
    errors: { UNKNOWN_SKU },
    idempotent: true,
  }),
})

/** What happens to prices. `changed` is broadcast and awaited; `dropped` is a worker's own word that it has forgotten the old one. */
export const prices = contract('prices', {
  changed: topic(z.object({ sku })),
  dropped: topic(z.object({ sku, worker: z.int() })),
})

/** What every worker can be asked. */
export const shopWorker = contract('shopWorker', {
  stats: procedure({
    output: z.object({
      pid: z.int(),
      hits: z.int(),
      misses: z.int(),
      cached: z.int(),
      listeners: z.int(),
    }),
    idempotent: true,
    timeout: 500, // A worker that is busy for longer is told as such; nobody waits for it.
  }),
})
