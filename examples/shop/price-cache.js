// A worker's own copy of the prices: filled by calls to the primary, emptied by what the cluster says.

export class PriceCache {
  hits = 0
  misses = 0
  #ledger
  /**
   * The price, or the call that will bring it, which all who ask meanwhile share.
   * @type {Map<string, Promise<number>>}
   */
  #prices = new Map()

  /** @param {Pick<import('@clusterwire/core').Client<typeof import('./contract.js').ledger>, 'price'>} ledger */
  constructor(ledger) {
    this.#ledger = ledger
  }

  get size() {
    return this.#prices.size
  }

  /** @param {string} sku */
  get(sku) {
    const known = this.#prices.get(sku)
    if (known) this.hits++
    return known ?? this.#fill(sku)
  }

  /**
   * Forgets a price. A call that is on its way is forgotten with it: what it brings may be older than this, so it goes to those
   * who asked before, and to nobody who asks from now on.
   *
   * @param {string} sku
   */
  drop(sku) {
    this.#prices.delete(sku)
  }

  /** @param {string} sku */
  #fill(sku) {
    this.misses++
    const price = this.#ledger.price({ sku }).then(({ cents }) => cents)
    this.#prices.set(sku, price)
    price.catch(() => this.#prices.get(sku) === price && this.#prices.delete(sku))
    return price
  }
}
