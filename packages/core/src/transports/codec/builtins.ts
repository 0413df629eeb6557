// Built-in objects that contain no values, both ways; and those that mean something only here.

import { types } from 'node:util'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { Tag } from './format.js'
import { Refusal } from './refusal.js'
import { readText, writeText } from './text.js'

/** What would arrive as an empty object, and without a word. */
const REFUSED: readonly (readonly [name: string, test: (value: unknown) => boolean])[] = [
  ['Promise', types.isPromise],
  ['generator', types.isGeneratorObject],
  ['WeakMap', types.isWeakMap],
  ['WeakSet', types.isWeakSet],
  ['WeakRef', (value) => value instanceof WeakRef],
  ['SharedArrayBuffer', types.isSharedArrayBuffer],
]

/**
 * Writes `value` if it is a Date, RegExp or URL. Returns whether it is.
 *
 * They are read through their built-in class: what a subclass claims might not be accepted there.
 */
export function writeBuiltin(out: ByteWriter, value: object): boolean {
  if (types.isDate(value)) {
    out.u8(Tag.date)
    out.f64(Date.prototype.getTime.call(value))
  } else if (types.isRegExp(value)) {
    const { source, flags } = new RegExp(value)
    out.u8(Tag.regexp)
    writeText(out, source)
    writeText(out, flags)
  } else if (value instanceof URL) {
    out.u8(Tag.url)
    writeText(out, Reflect.get(URL.prototype, 'href', value))
  } else {
    return false
  }
  return true
}

/** @throws Refusal if `value` is of a class that means nothing elsewhere */
export function refuseLocal(value: object): void {
  const refused = REFUSED.find(([, test]) => test(value))
  if (refused) throw new Refusal(`is a ${refused[0]}, which cannot be sent`)
}

export function readDate(reader: ByteReader): Date {
  return new Date(reader.f64())
}

export function readRegExp(reader: ByteReader): RegExp {
  const source = readText(reader, reader.u8())
  return new RegExp(source, readText(reader, reader.u8()))
}

export function readUrl(reader: ByteReader): URL {
  return new URL(readText(reader, reader.u8()))
}
