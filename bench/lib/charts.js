// Which of a benchmark's figures are drawn, and as what.

import { titleOf } from './names.js'
import { OURS } from './statistics.js'

const seconds = { unit: '/s', of: (row) => row.opsPerSec }
const milliseconds = { unit: 'ms', of: (row) => row.p50Micros / 1000 }

/** One panel: a case, and a bar for each contestant. */
function panel({ rows, versions }, name, title, { unit, of }) {
  const bars = rows
    .filter((row) => row.case === name)
    .map((row) => ({
      label: titleOf(row.contestant, versions),
      value: of(row),
      ours: row.contestant === OURS,
    }))
  return { title, unit, bars }
}

const panels = (result, cases, figure) =>
  Object.entries(cases).map(([name, title]) => panel(result, name, title, figure))

/** For each benchmark its panels; those of cases that were not run are left out by the drawing. */
export const charts = {
  rpc: (result) =>
    panels(
      result,
      {
        '1 in flight': 'calls, one at a time',
        '64 in flight': 'calls, 64 in flight',
        '1024 in flight': 'calls, 1024 in flight',
        'worker to worker, 256 in flight': 'calls from worker to worker, 256 in flight',
      },
      seconds,
    ),

  http: (result) => [
    panel(result, 'hello', 'hello: requests', seconds),
    panel(result, 'hello', 'hello: CPU of a request (less is better)', {
      unit: 'µs',
      of: (row) => row.cpuMicrosPerOp,
    }),
    panel(result, 'download 1 MiB', 'download: MiB', seconds),
    panel(result, 'upload 1 MiB', 'upload: MiB', seconds),
    panel(
      result,
      'mixed, the light ones',
      'light requests beside heavy ones: p99 (less is better)',
      {
        unit: 'ms',
        of: (row) => row.p99Micros / 1000,
      },
    ),
  ],

  article: (result) => panels(result, { '25 ms of CPU each': 'requests of 25 ms of CPU' }, seconds),

  broadcast: (result) =>
    panels(
      result,
      {
        'to 2 workers, 16 in flight': 'broadcasts to 2 workers',
        'to 8 workers, 16 in flight': 'broadcasts to 8 workers',
        'to 32 workers, 16 in flight': 'broadcasts to 32 workers',
        'to 8 workers, 1 in flight': 'broadcasts to 8 workers, one at a time',
      },
      seconds,
    ),

  stream: (result) => [
    panel(result, 'bytes, 64 KiB chunks, down', 'bytes from a worker: MiB', {
      unit: '/s',
      of: (row) => row.opsPerSec / 16,
    }),
    panel(result, 'bytes, 64 KiB chunks, up', 'bytes to a worker: MiB', {
      unit: '/s',
      of: (row) => row.opsPerSec / 16,
    }),
    panel(result, 'values of 100 bytes', 'values of 100 bytes', seconds),
  ],

  start: (result) => [
    ...panels(
      result,
      {
        '2 workers': '2 workers: time to ready (less is better)',
        '8 workers that load Express and zod': '8 workers that load Express and zod: time to ready',
      },
      milliseconds,
    ),
    {
      title: 'memory of each of 8 workers (less is better)',
      unit: 'MiB',
      bars: [OURS, 'node-cluster', 'cluster-and-thread'].map((one) => ({
        label: titleOf(one, result.versions),
        value: result.memory['8 workers']?.[one],
        ours: one === OURS,
      })),
    },
  ],

  scale: ({ rows }) =>
    ['peers', 'procedures'].map((dimension) => ({
      title: `CPU of a call by the number of ${dimension}`,
      unit: 'µs',
      bars: rows
        .filter((row) => row.contestant === OURS)
        .map((row) => ({ row, found: /^(\d+) (\w+), 4 in flight/.exec(row.case) }))
        .filter(({ found }) => found?.[2] === dimension)
        .map(({ row, found }) => ({
          label: `${Number(found[1]).toLocaleString('en').replaceAll(',', ' ')} ${dimension}`,
          value: row.cpuMicrosPerOp,
          ours: true,
        })),
    })),
}
