// The numbers of all members, each for itself and all together.

import { Clients } from '../client.js'
import type { Peer } from '../peer.js'
import { type PeerData, type PeerStats, Stats } from '../stats.js'
import { workerControl } from './control.js'
import type { WorkerInfo } from './events.js'

/** What a cluster has done since its start. */
export interface ClusterStats {
  /** The primary itself. */
  readonly primary: PeerStats
  /** Those that have answered: each with what it is and what it has done. */
  readonly workers: readonly (WorkerInfo & PeerStats)[]
  /** All of these together. Of workers that have ended, nothing is left. */
  readonly total: PeerStats
}

/** Asks all workers that take work. */
export async function gatherStats(
  peer: Peer,
  workers: readonly WorkerInfo[],
): Promise<ClusterStats> {
  const clients = new Clients(peer)
  const asked = workers.filter(({ state }) => state !== 'booting')
  const answers = await Promise.allSettled(
    asked.map(({ number }) => clients.create(workerControl, { to: number }).stats()),
  )
  const members = answers.flatMap((answer, n) =>
    answer.status === 'fulfilled' ? [{ worker: asked[n] as WorkerInfo, data: answer.value }] : [],
  )
  const own = peer.statsData()
  return {
    primary: summaryOf([own]),
    workers: members.map(({ worker, data }) => ({ ...worker, ...summaryOf([data]) })),
    total: summaryOf([own, ...members.map(({ data }) => data)]),
  }
}

function summaryOf(all: readonly PeerData[]): PeerStats {
  const stats = new Stats()
  for (const data of all) stats.add(data)
  const sum = (key: 'late' | 'violations') => all.reduce((total, data) => total + data[key], 0)
  return { ...stats.summary(), late: sum('late'), violations: sum('violations') }
}
