// What a front is doing, and has done, in numbers.

import type { LatencySummary } from '@clusterwire/core/peer'
import { REQUEST } from '../wire.js'
import type { Counters, Desk } from './desk.js'
import type { Load } from './loads.js'

/** One worker, as the front sees it. */
export interface WorkerStats {
  readonly number: number
  /** `suspect`: it has not answered the cluster for a while, and gets requests only when fewer than half of the workers are ready. */
  readonly state: 'ready' | 'suspect'
  /** Exchanges with it that are not answered, those of others in this process included: what `leastPending` compares. */
  readonly pending: number
  /** The share of its last heartbeat's interval in which its event loop was busy, 0 to 1; `undefined` before the first. */
  readonly utilization: number | undefined
  /** Requests that it has now, those included whose responses have begun: what `concurrency` limits. No upgraded connections */
  readonly active: number
  /** Requests that it was given. */
  readonly requests: number
  /** Those that it answered with 5xx, or did not answer. */
  readonly errors: number
  /** Milliseconds from when it was given a request to the beginning of its response. */
  readonly latency: LatencySummary
}

/** What a front is doing, and has done since it was made. */
export interface FrontStats extends Readonly<Counters> {
  /** Requests that are not answered, the waiting ones included, and connections that are upgraded. */
  readonly active: number
  /** Connections that are upgraded, or about to be. */
  readonly upgraded: number
  /** Requests that wait for a worker. The same as `queue.size` */
  readonly waiting: number
  readonly queue: {
    /** Requests that wait for a worker. */
    readonly size: number
    /** Bytes that they hold, at the most. */
    readonly bytes: number
    /** Milliseconds that the first in the line has waited; 0 when none waits. */
    readonly oldest: number
  }
  /** Connections on the ports that `listen` has opened. */
  readonly connections: {
    readonly open: number
    /** Those that were closed at once because of `maxConnections`. */
    readonly turnedAway: number
  }
  /** Responses that were begun, by the class of their status, the front's own included. */
  readonly responses: Readonly<Record<StatusClass, number>>
  /** Requests that the front answered itself, with an error, by the reason: the `code` in the answer. */
  readonly refusedBy: Readonly<Record<string, number>>
  /** The workers that take requests. */
  readonly workers: readonly WorkerStats[]
}

/** The classes of statuses that end a request: of the first, `101` is the only one. */
export type StatusClass = '1xx' | '2xx' | '3xx' | '4xx' | '5xx'

/** Collects a front's numbers. */
export function statsOf(desk: Desk, connections: FrontStats['connections']): FrontStats {
  const { counters, active, tunnels, room, responses, refusedBy } = desk
  const [, upgrade = 0, success = 0, redirect = 0, clientError = 0, serverError = 0] = responses
  return {
    ...counters,
    active,
    upgraded: tunnels.size,
    waiting: room.size,
    queue: { size: room.size, bytes: room.bytes, oldest: room.oldest },
    connections,
    responses: {
      '1xx': upgrade,
      '2xx': success,
      '3xx': redirect,
      '4xx': clientError,
      '5xx': serverError,
    },
    refusedBy: Object.fromEntries(refusedBy),
    workers: loadsOf(desk).map(({ member, active, requests, errors, latency }) => ({
      number: member.number,
      state: member.state === 'suspect' ? 'suspect' : 'ready',
      pending: member.pending,
      utilization: member.utilization,
      ...{ active, requests, errors },
      latency: latency.summary(),
    })),
  }
}

/** The parts of the workers that take requests. */
export function loadsOf({ workers, loads }: Desk): Load[] {
  const serving = workers.ready().filter(({ procedures }) => procedures.has(REQUEST))
  return serving.map((member) => loads.of(member))
}
