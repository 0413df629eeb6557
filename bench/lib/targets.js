// What the figures are to be: each benchmark's targets, for two cores. They are printed beside what was measured and fail nothing, as the
// figures of a shared machine say little.

import { short } from './table.js'

/**
 * @typedef {object} Target
 * @property {string} what
 * @property {(result: object) => number | undefined} figure undefined where the run has not measured it
 * @property {number} [least]
 * @property {number} [most]
 * @property {string} [unit] Default: ×, as most figures are ratios
 * @property {(result: object) => number | undefined} [minimal] what a program has in our place, in the same run, that does the same in the plainest
 *   way and nothing else
 */

/** Clusterwire ÷ contestant, of one figure of a case. */
const ratio = (field, name, contestant) => (result) => result[field]?.[`${name}/${contestant}`]
const opsRatio = (name, contestant) => ratio('ratios', name, contestant)
const cpuRatio = (name, contestant) => ratio('cpuRatios', name, contestant)

/** What one contestant has of such a figure in our place. */
const inOurPlace = (field, name, contestant, minimal) => (result) =>
  ratio(field, name, contestant)(result) / ratio(field, name, minimal)(result)

/** Operations per second beside one contestant. @param {string} [minimal] the contestant that does it in the plainest way */
const faster = (least, name, contestant, minimal) => ({
  what: `${name}: ops/s ÷ ${contestant}`,
  figure: opsRatio(name, contestant),
  least,
  minimal: minimal && inOurPlace('ratios', name, contestant, minimal),
})
const cheaper = (most, name, contestant) => ({
  what: `${name}: CPU ÷ ${contestant}`,
  figure: cpuRatio(name, contestant),
  most,
})

/** @type {Record<string, Target[]>} */
const TARGETS = {
  rpc: [
    ...['256 in flight', '1024 in flight'].flatMap((name) => [
      faster(2.5, name, 'raw-json'),
      faster(4, name, 'raw-advanced'),
      faster(3, name, 'birpc'),
      faster(5, name, 'tinypool'),
      faster(5, name, 'piscina'),
      faster(5, name, 'poolifier'),
      faster(4, name, 'moleculer'),
      cheaper(0.4, name, 'raw-json'),
    ]),
    faster(1.3, '64 in flight', 'raw-json'),
    {
      what: '1 in flight: median round trip ÷ raw-json',
      figure: ratio('p50Ratios', '1 in flight', 'raw-json'),
      most: 1,
    },
    ...['worker to worker, 64 in flight', 'worker to worker, 256 in flight'].map((name) =>
      faster(1.5, name, 'raw-json'),
    ),
  ],

  broadcast: [
    {
      what: 'how often a value is encoded, for 2 workers or 32',
      figure: ({ encodings }) => encodings && Math.max(...Object.values(encodings)),
      most: 1,
    },
    {
      what: 'CPU of one further worker ÷ raw-json (a worker.send loop)',
      figure: ({ furtherWorker }) => furtherWorker?.ratios['raw-json'],
      minimal: ({ furtherWorker }) =>
        furtherWorker?.cpuMicros['bare-socket'] / furtherWorker?.cpuMicros['raw-json'],
      most: 0.5,
    },
    ...[2, 8, 32].flatMap((workers) =>
      [1, 16].map((inFlight) =>
        faster(3, `to ${workers} workers, ${inFlight} in flight`, 'socket.io', 'bare-socket'),
      ),
    ),
  ],

  stream: [
    ...['down', 'up'].map((way) => faster(0.7, `bytes, 64 KiB chunks, ${way}`, 'raw-net')),
    faster(10, 'values of 100 bytes', 'one call each'),
  ],

  http: [
    faster(1.15, 'hello', 'nginx'),
    cheaper(1.6, 'hello', 'node-http'),
    cheaper(0.8, 'hello', 'nginx'),
    faster(4, 'hello', 'fastify-http-proxy'),
    faster(3, 'hello', 'http-proxy'),
    faster(1.5, 'hello', 'undici-thread-interceptor'),
    ...['download 1 MiB', 'upload 1 MiB'].flatMap((name) => [
      faster(0.6, name, 'node-cluster', 'byte-relay'),
      faster(1, name, 'fastify-http-proxy'),
    ]),
    {
      what: 'mixed: p99 of the light ones ÷ node-cluster',
      figure: ratio('p99Ratios', 'mixed, the light ones', 'node-cluster'),
      most: 0.25,
    },
  ],

  article: [
    faster(0.98, '25 ms of CPU each', 'node-cluster'),
    faster(1.9, '25 ms of CPU each', 'node-http'),
  ],

  start: [
    ...['2 workers', '8 workers', '8 workers that load Express and zod'].flatMap((name) => [
      {
        what: `${name}: time from start to all ready ÷ node-cluster`,
        figure: ratio('p50Ratios', name, 'node-cluster'),
        most: 1.1,
        minimal: inOurPlace('p50Ratios', name, 'node-cluster', 'cluster-and-thread'),
      },
      {
        what: `${name}: memory of each over that of cluster.fork`,
        figure: ({ memory }) => memory?.[name]?.over,
        minimal: ({ memory }) =>
          memory?.[name]?.['cluster-and-thread'] - memory?.[name]?.['node-cluster'],
        most: 12,
        unit: 'MiB',
      },
    ]),
  ],

  scale: [
    ...['peers', 'procedures'].map((dimension) => ({
      what: `CPU per call by the number of ${dimension}: furthest from their median`,
      figure: ({ deviations }) => deviations?.[dimension],
      most: 15,
      unit: '%',
    })),
  ],

  types: [
    {
      what: 'a contract of 1 000 procedures type-checks in',
      figure: ({ rows }) =>
        rows.find((row) => row.case === 'the contract' && row.contestant === 'clusterwire')
          ?.p50Micros / 1e6,
      most: 3,
      unit: 's',
    },
    {
      what: 'client import, gzipped, without zod',
      figure: ({ sizes }) => sizes?.['@clusterwire/core'].gzipped / 1000,
      most: 12,
      unit: 'kB',
    },
  ],
}

/**
 * Each target of a benchmark beside what its result says.
 *
 * @returns {{ what: string, aim: string, measured: string, minimal: string, state: 'met' | 'missed' | 'not measured' }[]}
 */
export function targetsOf(result) {
  return (TARGETS[result.name] ?? []).map(({ what, figure, least, most, minimal, unit = '×' }) => {
    const value = figure(result)
    const isMeasured = Number.isFinite(value)
    const show = (number) => (Number.isFinite(number) ? `${short(number)} ${unit}` : '–')
    const isMet = least === undefined ? value <= most : value >= least
    return {
      what,
      aim: `${least === undefined ? '≤' : '≥'} ${least ?? most} ${unit}`,
      measured: show(value),
      minimal: show(minimal?.(result)),
      state: !isMeasured ? 'not measured' : isMet ? 'met' : 'missed',
    }
  })
}
