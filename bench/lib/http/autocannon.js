// autocannon as a load generator.

import autocannon from 'autocannon'

const MIB = 2 ** 20
/** Seconds that a request may take. */
const TIMEOUT = 60

/**
 * @param {{ url: string, upload: boolean, connections: number, milliseconds: number, amount?: number }} load with an amount it runs until
 *   so many have been answered, otherwise for the milliseconds
 * @returns {Promise<import('./measure.js').Load>}
 */
export async function run({ url, upload, connections, milliseconds, amount }) {
  const options = { url, connections, amount, timeout: TIMEOUT, sampleInt: 50 }
  if (amount === undefined) options.duration = milliseconds / 1000
  if (upload) Object.assign(options, { method: 'POST', body: Buffer.alloc(MIB, 'clusterwire ') })
  const { requests, non2xx, errors, duration, latency } = await autocannon(options)
  return {
    ops: requests.total,
    seconds: duration,
    p50Micros: latency.p50 * 1000,
    p99Micros: latency.p99 * 1000,
    failed: non2xx + errors,
  }
}
