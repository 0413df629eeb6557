export { ClusterPeer, type DrainHook } from '../cluster-peer.js'
export type { PeerCounters } from '../peer.js'
export type { Target } from '../routing.js'
export {
  Primary,
  type PrimaryEvents,
  type PrimaryOptions,
  startPrimary,
  type WorkerInfo,
} from './primary.js'
export type { WorkerExit, WorkerState } from './supervisor.js'
export { ClusterWorker, joinCluster, type WorkerOptions } from './worker.js'
