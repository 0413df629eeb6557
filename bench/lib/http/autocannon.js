// autocannon as a load generator.

import autocannon from 'autocannon'

const MIB = 2 ** 20

/** @returns {Promise<import('./measure.js').Load>} */
export async function run({ url, upload, connections, milliseconds }) {
  const options = { url, connections, duration: milliseconds / 1000, sampleInt: 50 }
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
