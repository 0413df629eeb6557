import { contract, procedure, topic } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'

const pricing = contract('pricing', {
  quote: procedure({
    input: z.object({ sku: z.string(), quantity: z.int().positive() }),
    output: z.object({ cents: z.int() }),
    errors: { UNKNOWN_SKU: z.object({ sku: z.string() }) },
  }),
  changed: topic(z.object({ sku: z.string() })),
})

test('smoke', async () => {
  const mesh = await createMemoryMesh({ workers: 2 })
  const seen: string[] = []
  for (const worker of mesh.workers) {
    worker.serve(pricing, {
      quote: async ({ sku, quantity }, { errors }) => {
        if (sku === 'none') throw errors.UNKNOWN_SKU({ sku })
        return { cents: quantity * 100 + worker.number }
      },
    })
    worker.subscribe(pricing.changed, ({ sku }) => {
      seen.push(`${worker.number}:${sku}`)
    })
    await worker.ready()
  }
  const prices = mesh.primary.client(pricing)
  expect(
    [
      (await prices.quote({ sku: 'a', quantity: 1 })).cents,
      (await prices.quote({ sku: 'a', quantity: 1 })).cents,
    ].sort(),
  ).toEqual([101, 102])
  await expect(prices.quote({ sku: 'none', quantity: 1 })).rejects.toMatchObject({
    code: 'UNKNOWN_SKU',
    data: { sku: 'none' },
  })
  await expect(prices.quote({ sku: 'a', quantity: -1 })).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
  })
  const w2w = mesh.workers[0]!.client(pricing)
  expect((await w2w.quote({ sku: 'a', quantity: 1 })).cents).toBe(102)
  const receipt = await mesh.workers[0]!.broadcast(pricing.changed, { sku: 'x' })
  expect(receipt.outcomes.map((o) => [o.member.number, o.status])).toEqual([
    [1, 'applied'],
    [2, 'applied'],
  ])
  expect(seen.sort()).toEqual(['1:x', '2:x'])
  const all = await mesh.primary.all(pricing).quote({ sku: 'a', quantity: 1 })
  expect(all.values).toEqual([{ cents: 101 }, { cents: 102 }])
  expect(mesh.primary.pending).toBe(0)
  await mesh.close()
})
