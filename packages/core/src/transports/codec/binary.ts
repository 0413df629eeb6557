// ArrayBuffer and its views, both ways. A copy arrives: received bytes are the transport's own.
// Elements keep the machine's byte order, which is little-endian wherever Node runs but on s390x.

import { types } from 'node:util'
import { type ByteReader, type ByteWriter, MalformedError } from '../bytes.js'
import { Tag } from './format.js'
import { Refusal } from './refusal.js'

/** A view's kind on the wire is its index here; append only. */
const VIEWS: readonly (new (buffer: ArrayBuffer) => ArrayBufferView)[] = [
  Uint8Array,
  DataView,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]
const VIEW_NAMES = VIEWS.map((View) => View.name)
const ARRAY_BUFFER_KIND = 0xff

/** Writes `value` if it is an ArrayBuffer or a view of one. Returns whether it is. */
export function writeBinary(out: ByteWriter, value: object): boolean {
  if (ArrayBuffer.isView(value)) {
    writeBytes(out, kindOf(value), bytesOf(value))
  } else if (types.isArrayBuffer(value)) {
    writeBytes(out, ARRAY_BUFFER_KIND, new Uint8Array(value))
  } else {
    return false
  }
  return true
}

// Read off the built-in prototypes: a subclass may claim another class or length than it has,
// and bytes that contradict their length would make the whole message unreadable.
const typedArrayPrototype: Uint8Array = Object.getPrototypeOf(Uint8Array.prototype)

function kindOf(view: ArrayBufferView): number {
  const name: string = Reflect.get(typedArrayPrototype, Symbol.toStringTag, view) ?? 'DataView'
  const kind = VIEW_NAMES.indexOf(name)
  if (kind === -1) throw new Refusal(`is a ${name}, which cannot be sent`)
  return kind
}

/** The view's own range, not all of its buffer. */
function bytesOf(view: ArrayBufferView): Uint8Array {
  const prototype = types.isDataView(view) ? DataView.prototype : typedArrayPrototype
  return new Uint8Array(
    Reflect.get(prototype, 'buffer', view),
    Reflect.get(prototype, 'byteOffset', view),
    Reflect.get(prototype, 'byteLength', view),
  )
}

function writeBytes(out: ByteWriter, kind: number, bytes: Uint8Array): void {
  out.u8(Tag.binary)
  out.u8(kind)
  out.u32(bytes.length)
  out.bytes(bytes)
}

export function readBinary(reader: ByteReader): ArrayBuffer | ArrayBufferView {
  const kind = reader.u8()
  const { buffer } = reader.bytes(reader.u32())
  if (kind === ARRAY_BUFFER_KIND) return buffer
  const View = VIEWS[kind]
  if (View === undefined) throw new MalformedError(`Unknown binary kind ${kind}`, reader.position)
  return new View(buffer)
}
