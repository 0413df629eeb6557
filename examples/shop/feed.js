// Server-sent events: every price change as it happens, and every worker's word that it has dropped the old price.

import { prices } from './contract.js'

/** @type {(event: string, data: unknown) => string} */
const format = (event, data) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

export class Feed {
  /** @type {Set<import('express').Response>} */
  #listeners = new Set()
  #worker

  /**
   * Subscribes once for all who listen: no listener that goes leaves anything behind.
   *
   * @param {import('@clusterwire/core/cluster').ClusterWorker} worker
   */
  constructor(worker) {
    this.#worker = worker
    worker.subscribe(prices.changed, ({ sku }, { from }) =>
      this.#tell('changed', { sku, by: from.number }),
    )
    worker.subscribe(prices.dropped, (dropped) => this.#tell('dropped', dropped))
  }

  /** How many listen. */
  get size() {
    return this.#listeners.size
  }

  /** @param {import('express').Response} res */
  open(res) {
    const { number } = this.#worker
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    res.write(`retry: 1000\n${format('hello', { worker: number, pid: process.pid })}`)
    this.#listeners.add(res)
    res.on('close', () => this.#listeners.delete(res))
  }

  /** Ends every answer: they have no end of their own, and would hold up a shutdown. */
  end() {
    for (const listener of this.#listeners) listener.end()
  }

  /** @type {(event: string, data: unknown) => void} */
  #tell(event, data) {
    for (const listener of this.#listeners) listener.write(format(event, data))
  }
}
