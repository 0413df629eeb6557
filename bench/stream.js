// How fast do bytes and values flow from a worker to the primary? Bytes beside a bare pipe, and small values in a stream beside one
// call for each.

import { runBenchmark } from './lib/benchmark.js'
import { finish } from './lib/report.js'

finish(
  await runBenchmark({
    name: 'stream',
    title: 'from one worker to the primary',
    groups: [
      {
        contestants: 'stream',
        workers: 1,
        // An operation is a chunk.
        cases: [
          { name: 'bytes, 64 KiB chunks, down', inFlight: 1, direction: 'down' },
          { name: 'bytes, 64 KiB chunks, up', inFlight: 1, direction: 'up' },
        ],
      },
      {
        contestants: 'values',
        workers: 1,
        // An operation is a value.
        cases: [{ name: 'values of 100 bytes', inFlight: 1 }],
      },
    ],
  }),
)
