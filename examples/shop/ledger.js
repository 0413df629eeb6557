// The ledger: stock and prices in the primary's memory, where only one process changes them.

import { catalog } from './catalog.js'

/** @returns {import('@clusterwire/core').Handlers<typeof import('./contract.js').ledger>} */
export function createLedger() {
  const shelf = new Map(catalog.map(({ sku, cents, stock }) => [sku, { cents, left: stock }]))

  /** @type {<E>(sku: string, errors: { UNKNOWN_SKU(data: { sku: string }, options: { message: string }): E }) => { cents: number, left: number }} */
  const find = (sku, errors) => {
    const item = shelf.get(sku)
    if (!item) throw errors.UNKNOWN_SKU({ sku }, { message: `There is no "${sku}"` })
    return item
  }

  return {
    take: ({ sku, quantity }, { errors }) => {
      const item = find(sku, errors)
      if (item.left < quantity)
        throw errors.OUT_OF_STOCK(
          { sku, left: item.left },
          { message: `${item.left} left, ${quantity} wanted` },
        )
      item.left -= quantity
      return { left: item.left }
    },
    stock: () => [...shelf].map(([sku, { left }]) => ({ sku, left })),
    price: ({ sku }, { errors }) => ({ cents: find(sku, errors).cents }),
    setPrice: ({ sku, cents }, { errors }) => {
      find(sku, errors).cents = cents
    },
  }
}
