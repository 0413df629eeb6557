export { type Balancer, leastPending, roundRobin } from './balancer.js'
export { ListenError, type OnError, UnsupportedNodeError } from './errors.js'
export {
  type FrontOptions,
  type FrontStats,
  HttpFront,
  httpFront,
  type RetryOptions,
} from './front/front.js'
export type { Trust } from './headers.js'
export type { QueueOptions } from './waiting-room.js'
export type { ListenerMaker, NodeApp, ServerGiver, ServerOwner } from './worker/app.js'
export { type FetchHandler, type FetchOptions, serveFetch } from './worker/fetch.js'
export { serveHttp } from './worker/http.js'
