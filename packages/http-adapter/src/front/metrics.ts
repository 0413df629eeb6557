// A front's numbers in Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

import type { Load } from './loads.js'
import type { FrontStats } from './stats.js'

type Labels = Readonly<Record<string, string>>
type Sample = readonly [value: number, labels?: Labels, suffix?: string]

const PREFIX = 'clusterwire_http'

/** Where the latency histograms' buckets end: about 1 ms to 8 s, at powers of two of a microsecond, where what was counted is exact. */
const BOUNDS = Array.from({ length: 14 }, (_, step) => 2 ** (step + 10) / 1_000)

/** Renders all of them. */
export function renderMetrics(stats: FrontStats, loads: readonly Load[]): string {
  const each = (value: (load: Load) => number): Sample[] =>
    loads.map((load) => [value(load), workerOf(load)])
  return [
    counter('requests_total', 'Requests that came in.', [[stats.requests]]),
    counter(
      'responses_total',
      'Responses that were begun, by the class of their status.',
      Object.entries(stats.responses).map(([status, count]) => [count, { status }]),
    ),
    counter(
      'refused_total',
      'Requests that the front answered itself, with an error.',
      Object.entries(stats.refusedBy).map(([reason, count]) => [count, { reason }]),
    ),
    counter('retries_total', 'Requests that were given to another worker because one was lost.', [
      [stats.retried],
    ]),
    counter('recalled_total', 'Requests that were taken back from a worker that did not answer.', [
      [stats.recalled],
    ]),
    counter('abandoned_total', 'Requests whose client went away before the answer.', [
      [stats.abandoned],
    ]),
    counter('cut_total', 'Responses that ended in the middle.', [[stats.cut]]),
    gauge('active_requests', 'Requests that are not answered, the waiting ones included.', [
      [stats.active],
    ]),
    gauge('upgraded_connections', 'Connections that are upgraded, or about to be.', [
      [stats.upgraded],
    ]),
    gauge('queue_requests', 'Requests that wait for a worker.', [[stats.queue.size]]),
    gauge('queue_bytes', 'Bytes that the requests in the queue hold, at the most.', [
      [stats.queue.bytes],
    ]),
    gauge('queue_oldest_seconds', 'How long the first in the queue has waited.', [
      [stats.queue.oldest / 1_000],
    ]),
    gauge('connections', 'Connections that are open.', [[stats.connections.open]]),
    counter('connections_turned_away_total', 'Connections that were closed at once.', [
      [stats.connections.turnedAway],
    ]),
    gauge(
      'worker_ready',
      'Whether a worker is ready (1) or suspect (0).',
      each(({ member }) => Number(member.state === 'ready')),
    ),
    gauge(
      'worker_active_requests',
      'Requests that a worker has.',
      each(({ active }) => active),
    ),
    gauge(
      'worker_utilization_ratio',
      'The share of the last second in which a worker’s event loop was busy.',
      each(({ member }) => member.utilization ?? 0),
    ),
    counter(
      'worker_requests_total',
      'Requests that a worker was given.',
      each(({ requests }) => requests),
    ),
    counter(
      'worker_errors_total',
      'Requests that a worker answered with 5xx, or did not answer.',
      each(({ errors }) => errors),
    ),
    family(
      ['worker_response_seconds', 'histogram'],
      'From when a worker was given a request to the beginning of its response.',
      loads.flatMap(histogram),
    ),
  ].join('')
}

function counter(name: string, help: string, samples: readonly Sample[]): string {
  return family([name, 'counter'], help, samples)
}

function gauge(name: string, help: string, samples: readonly Sample[]): string {
  return family([name, 'gauge'], help, samples)
}

function family(
  [name, type]: readonly [name: string, type: string],
  help: string,
  samples: readonly Sample[],
): string {
  const full = `${PREFIX}_${name}`
  const lines = samples.map(
    ([value, labels, suffix = '']) => `${full}${suffix}${labelled(labels)} ${value}\n`,
  )
  return `# HELP ${full} ${escapeHelp(help)}\n# TYPE ${full} ${type}\n${lines.join('')}`
}

function histogram(load: Load): Sample[] {
  const { latency } = load
  const worker = workerOf(load)
  return [
    ...BOUNDS.map(
      (ms): Sample => [latency.countUpTo(ms), { ...worker, le: String(ms / 1_000) }, '_bucket'],
    ),
    [latency.count, { ...worker, le: '+Inf' }, '_bucket'],
    [latency.sum / 1_000, worker, '_sum'],
    [latency.count, worker, '_count'],
  ]
}

function workerOf({ member }: Load): Labels {
  return { worker: String(member.number) }
}

function labelled(labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}
