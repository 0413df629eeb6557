// How fast requests are answered, as Node's own http server tells it: from a request's head to the last byte of its response.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { createHistogram, performance } from 'node:perf_hooks'

/** What was measured since it was asked last. */
export interface Measured {
  readonly requestsPerSecond: number
  /** Milliseconds; `undefined` when there was no request. */
  readonly p50: number | undefined
  readonly p99: number | undefined
}

const STARTED = 'http.server.request.start'
const FINISHED = 'http.server.response.finish'

/** Measures the http servers of this process. */
export class Meter {
  readonly #began = new WeakMap<IncomingMessage, number>()
  readonly #latencies = createHistogram()
  #since = performance.now()

  readonly #onStart = (message: unknown) => {
    this.#began.set((message as { request: IncomingMessage }).request, performance.now())
  }

  readonly #onFinish = (message: unknown) => {
    const began = this.#began.get((message as { request: IncomingMessage }).request)
    // The histogram counts in whole numbers, from 1 on.
    if (began !== undefined)
      this.#latencies.record(Math.max(1, Math.round((performance.now() - began) * 1_000)))
  }

  constructor() {
    subscribe(STARTED, this.#onStart)
    subscribe(FINISHED, this.#onFinish)
  }

  /** Measured since the last time. */
  read(): Measured {
    const { count } = this.#latencies
    const now = performance.now()
    const seconds = (now - this.#since) / 1_000
    const percentile = (p: number) =>
      count === 0 ? undefined : this.#latencies.percentile(p) / 1_000
    const measured = {
      requestsPerSecond: seconds > 0 ? count / seconds : 0,
      p50: percentile(50),
      p99: percentile(99),
    }
    this.#latencies.reset()
    this.#since = now
    return measured
  }

  stop(): void {
    unsubscribe(STARTED, this.#onStart)
    unsubscribe(FINISHED, this.#onFinish)
  }
}
