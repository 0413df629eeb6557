// A request that can't be given to a worker now joins the queue, if that makes sense.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { Progress, Waiting } from '../waiting-room.js'
import type { Desk } from './desk.js'
import { type Refusal, Refusals, tooLate } from './refusal.js'
import { type Content, MOST_HELD_BYTES } from './upload.js'

/** A request that is to wait. */
export interface Queuer extends Waiting {
  readonly req: IncomingMessage
  readonly procedure: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

/** Why and how it waits. */
export interface Wait {
  readonly progress: Progress
  readonly content: Content
  /** Milliseconds that it has. */
  readonly time: number
}

/** Lets a request wait; returns why not, when it can't. */
export function queueUp(
  desk: Desk,
  queuer: Queuer,
  { progress, content, time }: Wait,
): Refusal | undefined {
  const { room, peer, workers } = desk
  const isNobodyThere = workers.candidates(queuer.procedure).length === 0
  if (isNobodyThere && peer.waiting.hopeless) return Refusals.noWorker
  const priority = priorityOf(desk, queuer.req)
  const bytes = bytesOf(queuer, content)
  switch (room.add(queuer, progress, { priority, bytes, time })) {
    case 'late':
      return tooLate(room.expectedWait(priority))
    case 'full':
      return isNobodyThere && room.size === 0 ? Refusals.noWorker : Refusals.overloaded
    default:
      return undefined
  }
}

/** What its user says; 0 when that fails: the request can do nothing for it. */
function priorityOf({ priority, onError }: Desk, req: IncomingMessage): number {
  if (priority === undefined) return 0
  try {
    const answer = priority(req)
    if (typeof answer === 'number' && !Number.isNaN(answer)) return answer
    throw new InvalidOptionError(`It must return a number, got ${String(answer)}`)
  } catch (error) {
    onError(error, 'queue.priority()')
    return 0
  }
}

/** What it holds while it waits, at the most. A character of a head is a byte. */
function bytesOf({ url, headers, body }: Queuer, content: Content): number {
  const head = headers.reduce((sum, { length }) => sum + length, url.length)
  return head + (content === 'stream' ? MOST_HELD_BYTES : (body?.length ?? 0))
}
