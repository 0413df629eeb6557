// What the front itself answers, when no worker does: a status, a code, one sentence, and nothing about its insides.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { type ClusterwireError, ProtocolError } from '@clusterwire/core'
import type { Clock } from '@clusterwire/core/peer'
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
  | 'timedOut'
  | 'bodyTooLarge'
  | 'urlTooLong'

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
  /** The request's time was up before a worker began to answer. */
  timedOut: {
    status: 504,
    code: 'DEADLINE_EXCEEDED',
    message: 'The answer was not ready in time. The request may have run.',
  },
  /** `maxBodyBytes`. */
  bodyTooLarge: {
    status: 413,
    code: 'BODY_TOO_LARGE',
    message: 'The request’s body is too large.',
  },
  /** `maxUrlLength`. */
  urlTooLong: {
    status: 414,
    code: 'URL_TOO_LONG',
    message: 'The request’s URL is too long.',
  },
}

/** Says why by which code, for machines that look at headers only. */
const REASON = 'x-clusterwire-reason'

/** Why a request is refused whose worker failed. */
export function refusalFor({ code }: ClusterwireError): Refusal {
  switch (code) {
    case 'WORKER_LOST':
      return Refusals.workerLost
    case 'OVERLOADED':
      return Refusals.overloaded
    case 'PEER_CLOSED':
      return Refusals.closed
    case 'DEADLINE_EXCEEDED':
      return Refusals.timedOut
    default:
      return Refusals.failed
  }
}

/** Why a request is refused whose time would be up before its turn, which is so many milliseconds away. */
export function tooLate(wait: number): Refusal {
  return { ...Refusals.overloaded, retryAfter: Math.ceil(wait / 1_000) }
}

/** What a worker fails with that sends something else than a response. */
export function misrendered(): ProtocolError {
  return new ProtocolError('The worker sent a response whose head is not one of HTTP/1.1')
}

/** What is refused. */
export interface Refused {
  readonly req: Pick<IncomingMessage, 'headers'>
  readonly res: Pick<ServerResponse, 'writeHead' | 'end'>
  readonly requestId: string
}

/** The same, of HTTP/1. */
export interface RefusedUpload extends Refused {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** Answers with a refusal: as JSON where the client accepts it, else as a line of text. */
export function refuse(refused: Refused, refusal: Refusal): void {
  refused.res.end(begin(refused, refusal))
}

/** Milliseconds that a client which is still sending has to read why it should not. */
const LINGER = 2_000

/**
 * The same for a client that is still sending what nobody wants. Its connection is closed, but not at once: on one that is closed while
 * bytes come in, the answer may never be read (RFC 9112, section 9.6). So they are read, and thrown away, for a while.
 */
export function refuseUpload(refused: RefusedUpload, refusal: Refusal, clock: Clock): void {
  const { req, res } = refused
  res.shouldKeepAlive = false
  res.write(begin(refused, refusal))
  const stop = clock.after(LINGER, () => res.end())
  const end = () => {
    stop()
    res.end()
  }
  req.once('end', end)
  res.once('close', stop)
  req.resume()
}

/** Renders the head; returns the body. */
function begin(
  { req, res, requestId }: Refused,
  { status, code, message, retryAfter }: Refusal,
): string {
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
  res.writeHead(status, headers)
  return body
}
