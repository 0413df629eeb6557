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

/** Characters of the longest name that a member may say: `<contract>.<member>` has 256 at most. */
const MAX_NAME = 260

/** How many procedures one member may announce: a frame's `ref` can't tell more apart. */
const MAX_PROCEDURES = 2 ** 16

/** How many topics one member may listen to. */
const MAX_TOPICS = 2 ** 16

/** How many characters all names and fingerprints of one member's procedures may have: everybody who joins is told of all of them. */
const MAX_PROCEDURE_TEXT = 4 * 1024 * 1024

/** What a member has announced so far. */
export interface Announced {
  /** How many procedures. */
  readonly procedures: number
  /** How many characters their names and fingerprints have. */
  readonly text: number
  /** The topics that it listens to. */
  readonly topics: ReadonlySet<string>
}

/** What the member says first; or, when it speaks another version of the protocol, why it can't join. @throws ProtocolError when it is no hello */
export function readHello(frame: Frame): Hello | IncompatibleError {
  if (frame.type !== FrameType.hello)
    throw new ProtocolError(`The first frame of a link must be hello, not ${frame.type}`)
  if (frame.arg !== PROTOCOL_VERSION)
    return new IncompatibleError(
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
 * @throws ProtocolError when it is not lists of names, or with them the member would have announced more than one may
 */
export function readAnnouncement(
  frame: Frame,
  known: Announced,
): Pick<Announcement, 'procedures' | 'subscribe' | 'unsubscribe'> {
  const { procedures, subscribe, unsubscribe } = bodyOf(frame)
  const change = {
    ...(procedures !== undefined && { procedures: listOf(procedures, isServed) }),
    ...(subscribe !== undefined && { subscribe: listOf(subscribe, isName) }),
    ...(unsubscribe !== undefined && { unsubscribe: listOf(unsubscribe, isName) }),
  }
  if (known.procedures + (change.procedures?.length ?? 0) > MAX_PROCEDURES)
    throw new ProtocolError(`A worker announced more than ${MAX_PROCEDURES} procedures`)
  if (known.text + textOf(change.procedures) > MAX_PROCEDURE_TEXT)
    throw new ProtocolError(
      `A worker announced procedures whose names have more than ${MAX_PROCEDURE_TEXT} characters together`,
    )
  const topics = (change.subscribe ?? []).filter((topic) => !known.topics.has(topic))
  if (known.topics.size + new Set(topics).size > MAX_TOPICS)
    throw new ProtocolError(`A worker listens to more than ${MAX_TOPICS} topics`)
  return change
}

/** How many characters these have. */
export function textOf(procedures: readonly ServedProcedure[] = []): number {
  return procedures.reduce((sum, [name, fingerprint]) => sum + name.length + fingerprint.length, 0)
}

function bodyOf(frame: Frame): Record<string, unknown> {
  return (decodeValue(frame.bytes, frame.body, frame.end) ?? {}) as Record<string, unknown>
}

function listOf<T>(value: unknown, is: (item: unknown) => item is T): readonly T[] {
  if (Array.isArray(value) && value.every(is)) return value
  throw new ProtocolError(
    `A worker announced something that is no list of names, each of ${MAX_NAME} characters at most`,
  )
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_NAME
}

function isServed(value: unknown): value is ServedProcedure {
  return Array.isArray(value) && value.length === 2 && value.every(isName)
}
