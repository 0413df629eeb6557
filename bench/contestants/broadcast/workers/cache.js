// What each worker does with it, the same for all contestants.
const cache = new Map()

export function apply({ sku, cents }) {
  cache.set(sku, cents)
}
