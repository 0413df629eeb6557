export { type Balancer, leastPending, roundRobin } from './balancer.js'
export {
  ListenError,
  NoTransparentFrontError,
  type OnError,
  UnsupportedNodeError,
} from './errors.js'
export { HttpFront, httpFront } from './front/front.js'
export type { FrontOptions, FrontStats, RetryOptions } from './front/options.js'
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
export { type FetchHandler, type FetchOptions, serveFetch } from './worker/fetch.js'
export { type HttpOptions, serveHttp } from './worker/http.js'
