export { ClusterPeer, type DrainHook } from '../cluster-peer.js'
export type { LatencySummary } from '../histogram.js'
export type { PeerCounters } from '../peer.js'
export type { Target } from '../routing.js'
export type { PeerStats, ProcedureStats } from '../stats.js'
export type { PrimaryEvents, WorkerInfo } from './events.js'
export type { ExitKind, WorkerExit } from './exit.js'
export type { ClusterStats } from './gather-stats.js'
export type { LivenessOptions } from './heartbeat.js'
export type { CheckedOptions, ClusterOptions } from './options.js'
export { Primary, type PrimaryOptions, type PrimaryState, startPrimary } from './primary.js'
export type { RecycleOptions } from './recycle.js'
export type { RestartOptions } from './restarts.js'
export type { MainThreadReport, StackFrame } from './watchdog-line.js'
export {
  type AdoptedMembership,
  ClusterWorker,
  isClusterWorker,
  joinCluster,
  joinForApp,
  type WorkerOptions,
} from './worker.js'
export type { WorkerState } from './worker-process.js'
