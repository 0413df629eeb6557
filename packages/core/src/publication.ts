// The body of a publish frame: the topic's name, for a retained topic its version, and the value.
//
//    ┌──────────────┬───────────────────┬──────── ─ ─
//    │ name (latin1)│ version (f64)     │ value
//    └──────────────┴───────────────────┴──────── ─ ─
//      arg bytes      8, with flag retain

import type { Named, Topic } from './contract.js'
import { ProtocolError } from './errors.js'
import { Flag, type Frame } from './frames.js'
import type { ByteWriter } from './transports/bytes.js'
import { encodeValue } from './transports/codec.js'

/** What a publisher sends. */
export interface Publication {
  readonly topic: Named<Topic>
  readonly value: unknown
}

/** Writes the body. The version is left for the router to fill in: it alone sees all publishers. */
export function encodePublication(out: ByteWriter, { topic, value }: Publication): void {
  out.ensure(topic.name.length)
  out.position += out.buffer.write(topic.name, out.position, 'latin1')
  if (topic.retain) out.f64(0)
  encodeValue(out, value)
}

/** Bytes of the longest topic's name: `<contract>.<topic>` has 256 at most. */
const MAX_NAME = 260

/** @throws ProtocolError when the name is longer than any topic's, or what should stand before the value does not fit into the frame */
export function checkPublication({ arg, body, end, flags, from }: Frame): void {
  if (arg > MAX_NAME)
    throw new ProtocolError(`Peer ${from} published a topic whose name has ${arg} bytes`)
  if (body + arg + ((flags & Flag.retain) !== 0 ? 8 : 0) > end)
    throw new ProtocolError(`Peer ${from} published without a topic`)
}

/** The topic's name. */
export function topicOf({ bytes, body, arg }: Frame): string {
  return bytes.toString('latin1', body, body + arg)
}

/** Reads what stands before the value. */
export function readPublication(frame: Frame): {
  readonly name: string
  /** How many values of a retained topic there have been, this one included; 0 for other topics. */
  readonly version: number
  readonly valueAt: number
} {
  const nameEnd = frame.body + frame.arg
  const retained = (frame.flags & Flag.retain) !== 0
  return {
    name: topicOf(frame),
    version: retained ? frame.bytes.readDoubleLE(nameEnd) : 0,
    valueAt: retained ? nameEnd + 8 : nameEnd,
  }
}

/** Fills the version in, where the frame stands. */
export function stampVersion({ bytes, body, arg }: Frame, version: number): void {
  bytes.writeDoubleLE(version, body + arg)
}
