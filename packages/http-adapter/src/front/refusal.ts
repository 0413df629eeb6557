// What the front itself answers, when no worker does: a status, a code, one sentence, and nothing about its insides.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { REQUEST_ID } from '../wire.js'

/** Why a client gets no answer from a worker. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number
}

type Reason =
  | 'noWorker'
  | 'overloaded'
  | 'closed'
  | 'unrouted'
  | 'workerLost'
  | 'poison'
  | 'failed'
  | 'notUpgraded'

/** All the reasons. */
export const Refusals: Readonly<Record<Reason, Refusal>> = {
  /** No worker got ready, or free, while the request could wait. */
  noWorker: {
    status: 503,
    code: 'NO_WORKER',
    message: 'No worker is ready to answer. Try again.',
    retryAfter: 1,
  },
  /** The queue is full, or a worker does not read what it is sent. */
  overloaded: {
    status: 503,
    code: 'OVERLOADED',
    message: 'Too many requests are waiting. Try again.',
    retryAfter: 1,
  },
  /** The cluster is closed. */
  closed: {
    status: 503,
    code: 'DRAINING',
    message: 'The server is shutting down. Try again.',
    retryAfter: 1,
  },
  /** The balancer failed. */
  unrouted: {
    status: 500,
    code: 'UNROUTED',
    message: 'The request could not be given to a worker.',
  },
  /** The worker died while it ran the request, and running it again could do harm. */
  workerLost: {
    status: 502,
    code: 'WORKER_LOST',
    message: 'The worker was lost before it answered. The request may have run.',
  },
  /** Each worker that ran the request died of it. */
  poison: {
    status: 502,
    code: 'POISON',
    message: 'Every worker that ran this request was lost. It is not tried again.',
  },
  /** The worker could not be talked to. */
  failed: {
    status: 502,
    code: 'BAD_GATEWAY',
    message: 'The worker could not answer.',
  },
  /** No worker takes upgrades, and what came with this one can't be read as an ordinary request any more. */
  notUpgraded: {
    status: 501,
    code: 'NOT_UPGRADED',
    message: 'This server does not upgrade connections.',
  },
}

/** Says why by which code, for machines that look at headers only. */
const REASON = 'x-clusterwire-reason'

/** What is refused. */
export interface Refused {
  readonly req: Pick<IncomingMessage, 'headers'>
  readonly res: Pick<ServerResponse, 'writeHead'>
  readonly requestId: string
}

/** Answers with a refusal: as JSON where the client accepts it, else as a line of text. */
export function refuse(
  { req, res, requestId }: Refused,
  { status, code, message, retryAfter }: Refusal,
): void {
  const json = /\bjson\b/i.test(req.headers.accept ?? '')
  const body = json ? JSON.stringify({ error: { code, message, requestId } }) : `${message}\n`
  const headers: OutgoingHttpHeaders = {
    'content-type': json ? 'application/json; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    [REASON]: code.toLowerCase().replaceAll('_', '-'),
    ...(requestId && { [REQUEST_ID]: requestId }),
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  }
  res.writeHead(status, headers).end(body)
}
