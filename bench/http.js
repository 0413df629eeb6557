// What does a front cost, and what does it bring? The same app behind ours, behind proxies, in node:cluster and alone, under the same
// load. The load generator is a process of its own, whose CPU is nobody's.

import { sumTo } from './contestants/http/workers/app.js'
import { runBenchmark } from './lib/benchmark.js'
import { calibrate } from './lib/http/calibrate.js'
import { generator, measureHttp } from './lib/http/measure.js'
import { finish } from './lib/report.js'

const heavyPath = `/api/${Math.round(calibrate(sumTo) * 50)}`

console.log(
  `Load generator: ${generator}${generator === 'wrk' ? '' : ' (wrk is not on this machine, and would take less CPU)'}; an open loop of our own for mixed.`,
)

const common = { contestants: 'http', workers: 2, measure: measureHttp }

/** Three processes on two cores that the load generator has its share of: it takes them some seconds to compile what a case runs. */
const learning = 6

finish(
  await runBenchmark({
    name: 'http',
    title: 'the same node:http app, 2 workers or 1 behind a proxy',
    groups: [
      {
        ...common,
        cases: [
          { name: 'hello', inFlight: 64, path: '/', learning },
          // As requests are of 1 MiB, requests per second are MiB per second.
          { name: 'download 1 MiB', inFlight: 16, path: '/file', learning, notQuick: true },
          {
            name: 'upload 1 MiB',
            inFlight: 16,
            path: '/upload',
            upload: true,
            learning,
            notQuick: true,
          },
        ],
      },
      {
        ...common,
        only: ['clusterwire', 'node-cluster'],
        compare: 'p99Micros',
        cases: [
          {
            name: 'mixed, the light ones',
            tool: 'mixed',
            inFlight: 16,
            path: '/',
            heavyPath,
            // 200 a second: fewer than some hundred have no p99.
            times: 8,
            learning,
            notQuick: true,
          },
        ],
      },
    ],
  }),
)
