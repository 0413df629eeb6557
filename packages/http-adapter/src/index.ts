export type { Balancer } from './balancer/balancer.js'
export { type Random2Options, random2 } from './balancer/random2.js'
export { type StickyCookie, type StickyOptions, sticky } from './balancer/sticky.js'
export { leastPending, roundRobin } from './balancer/turns.js'
export {
  ListenError,
  NoTransparentFrontError,
  type OnError,
  PoisonedRequestError,
  UnsupportedNodeError,
} from './errors.js'
export type { DeadlineOptions, Timeout } from './front/deadline.js'
export type { FrontEvents, PoisonedRequest } from './front/events.js'
export { HttpFront, httpFront } from './front/front.js'
export type { Limits } from './front/limits.js'
export type { FrontOptions, RetryOptions } from './front/options.js'
export type { FrontStats, StatusClass, WorkerStats } from './front/stats.js'
export type { Trust } from './headers.js'
export { drainServer } from './transparent/drain-server.js'
export {
  TransparentFront,
  type TransparentOptions,
  type TransparentPort,
  transparentFront,
} from './transparent/transparent-front.js'
export type { UpgradeListener } from './upgrade.js'
export type { QueueOptions } from './waiting-room.js'
export type { ListenerMaker, NodeApp, ServerGiver, ServerOwner } from './worker/app.js'
export type { RequestScope } from './worker/client-socket.js'
export { type FetchHandler, type FetchOptions, serveFetch } from './worker/fetch.js'
export { type HttpOptions, serveHttp } from './worker/http.js'
export { requestScope } from './worker/scope.js'
