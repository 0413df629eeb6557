// What an article on clustering asks: an app whose requests sum up to n, put under its `autocannon -c 100`: in one process, with node:cluster,
// and behind our front.

import { sumTo } from './contestants/http/workers/app.js'
import { runBenchmark } from './lib/benchmark.js'
import { calibrate } from './lib/http/calibrate.js'
import { measureHttp } from './lib/http/measure.js'
import { finish } from './lib/report.js'

/** The article's n takes a good deal of a second; this is as much as takes a request of ours. */
const MILLISECONDS = 25

const path = `/api/${Math.round(calibrate(sumTo) * MILLISECONDS)}`
console.log(`autocannon -c 100 http://127.0.0.1${path}: ${MILLISECONDS} ms on this machine`)

finish(
  await runBenchmark({
    name: 'article',
    title: 'requests that burn CPU, 100 connections',
    groups: [
      {
        contestants: 'http',
        only: ['clusterwire', 'node-cluster', 'node-http'],
        workers: 2,
        measure: measureHttp,
        cases: [
          {
            name: '25 ms of CPU each',
            tool: 'autocannon',
            inFlight: 100,
            path,
            // A round is as many requests as connections, and ends when all are answered: what is left over would burn CPU in the next one's.
            turns: true,
            times: 4,
          },
        ],
      },
    ],
  }),
)
