// How fast is a call? The primary asks a worker for the price of a small object, with 1 to 1024 calls in flight; and one worker asks
// another through the primary. Ours validates with zod on both ends, the others don't validate.

import { runBenchmark } from './lib/benchmark.js'
import { finish } from './lib/report.js'

const input = { sku: 'a1', quantity: 2 }

finish(
  await runBenchmark({
    name: 'rpc',
    title: '{ sku, quantity } → { cents }, ours validated on both ends',
    groups: [
      {
        contestants: 'rpc',
        // On two cores the primary and one worker keep both busy; more workers would measure the scheduler.
        workers: 1,
        cases: [1, 64, 256, 1024].map((inFlight) => ({
          name: `${inFlight} in flight`,
          inFlight,
          input,
        })),
      },
      {
        contestants: 'relay',
        workers: 2,
        cases: [1, 64, 256].map((inFlight) => ({
          name: `worker to worker, ${inFlight} in flight`,
          inFlight,
          input,
        })),
      },
    ],
  }),
)
