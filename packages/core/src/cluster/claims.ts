// What a member says about itself, before the router believes it: another process may send anything.

import { IncompatibleError, ProtocolError } from '../errors.js'
import {
  type Announcement,
  type Frame,
  FrameType,
  type Hello,
  PROTOCOL_VERSION,
  type ServedProcedure,
} from '../frames.js'
import { decodeValue } from '../transports/codec.js'

/** @throws ProtocolError when it is no hello, IncompatibleError when it speaks of another version */
export function readHello(frame: Frame): Hello {
  if (frame.type !== FrameType.hello)
    throw new ProtocolError(`The first frame of a link must be hello, not ${frame.type}`)
  if (frame.arg !== PROTOCOL_VERSION)
    throw new IncompatibleError(
      `The worker speaks version ${frame.arg} of the protocol, the primary version ${PROTOCOL_VERSION}; both must use the same @clusterwire/core`,
    )
  const { id, pid } = bodyOf(frame)
  if (typeof id !== 'string' || typeof pid !== 'number')
    throw new ProtocolError('A worker said hello without saying who it is')
  return { id, pid }
}

/**
 * What the member serves and listens to. (Who it is and what state it is in is for the primary to say.)
 *
 * @throws ProtocolError when it is not lists of names
 */
export function readAnnouncement(
  frame: Frame,
): Pick<Announcement, 'procedures' | 'subscribe' | 'unsubscribe'> {
  const { procedures, subscribe, unsubscribe } = bodyOf(frame)
  return {
    ...(procedures !== undefined && { procedures: listOf(procedures, isServed) }),
    ...(subscribe !== undefined && { subscribe: listOf(subscribe, isText) }),
    ...(unsubscribe !== undefined && { unsubscribe: listOf(unsubscribe, isText) }),
  }
}

function bodyOf(frame: Frame): Record<string, unknown> {
  return (decodeValue(frame.bytes, frame.body, frame.end) ?? {}) as Record<string, unknown>
}

function listOf<T>(value: unknown, is: (item: unknown) => item is T): readonly T[] {
  if (Array.isArray(value) && value.every(is)) return value
  throw new ProtocolError('A worker announced something that is no list of names')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isServed(value: unknown): value is ServedProcedure {
  return Array.isArray(value) && value.length === 2 && value.every(isText)
}
