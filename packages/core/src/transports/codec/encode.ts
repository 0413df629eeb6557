// Values to bytes. Tests come in the order of frequency: what most messages consist of is decided
// first, and pays nothing for what is rare.

import { types } from 'node:util'
import type { ByteWriter } from '../bytes.js'
import { writeBinary } from './binary.js'
import { refuseLocal, writeBuiltin } from './builtins.js'
import { MAX_DEPTH, Tag } from './format.js'
import { writeBigInt, writeNumber } from './numbers.js'
import { propertyAccess, Refusal } from './refusal.js'
import { writeText } from './text.js'

/** Not `Object.hasOwn`: this one V8 knows to be true in a `for…in` over an object that has nothing else. */
const { hasOwnProperty: isOwn } = Object.prototype

/** Containers above this depth are not remembered: a cycle comes by again further down. */
const TRACKED_DEPTH = 64

/** Those being written below it, by the innermost `encodeValue`: a getter may call another. */
let ancestors: Set<object> | undefined

/**
 * Appends `value` at the writer's position. ../codec.ts says what arrives.
 *
 * @param name what the paths in errors begin with, default `value`
 * @throws InvalidValueError naming the path of what cannot be sent, or what the writer refuses to grow with; the position is then as before
 */
export function encodeValue(out: ByteWriter, value: unknown, name = 'value'): void {
  const start = out.position
  const outer = ancestors
  ancestors = undefined
  try {
    writeValue(out, value, 0)
  } catch (error) {
    out.position = start
    if (isTooLong(out, error)) throw out.refusal
    throw Refusal.toInvalidValue(error, name)
  } finally {
    ancestors = outer
  }
}

function writeValue(out: ByteWriter, value: unknown, depth: number): void {
  if (typeof value === 'string') writeText(out, value)
  else if (typeof value === 'number') writeNumber(out, value)
  else if (typeof value === 'boolean') out.u8(value ? Tag.true : Tag.false)
  else if (value === undefined) out.u8(Tag.undefined)
  else if (value === null) out.u8(Tag.null)
  else if (typeof value === 'bigint') writeBigInt(out, value)
  else if (typeof value !== 'object')
    throw new Refusal(`is a ${typeof value}, which cannot be sent`)
  else if (depth < TRACKED_DEPTH) writeObject(out, value, depth)
  else writeTracked(out, value, depth)
}

function writeObject(out: ByteWriter, value: object, depth: number): void {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) writePlain(out, value, depth)
  else if (Array.isArray(value)) writeArray(out, value, depth)
  else if (prototype !== null) writeInstance(out, value, depth)
  else {
    out.u8(Tag.nullObject)
    writeProperties(out, value, depth)
  }
}

function writePlain(out: ByteWriter, value: object, depth: number): void {
  out.u8(Tag.object)
  writeProperties(out, value, depth)
}

/** Refuses what is too deep, or lies within itself. */
function writeTracked(out: ByteWriter, value: object, depth: number): void {
  if (depth >= MAX_DEPTH) throw new Refusal(`lies deeper than ${MAX_DEPTH} levels`)
  ancestors ??= new Set()
  if (ancestors.has(value)) throw new Refusal('is a cycle', { repeated: value })
  ancestors.add(value)
  try {
    writeObject(out, value, depth)
  } finally {
    ancestors.delete(value)
  }
}

function writeArray(out: ByteWriter, array: readonly unknown[], depth: number): void {
  let index = 0
  try {
    out.u8(Tag.array)
    const { length } = array
    // Each element takes a byte at least: a length that can never fit is refused before the loop.
    out.ensure(length)
    for (; index < length; index++) writeValue(out, array[index], depth + 1)
    out.u8(Tag.end)
  } catch (error) {
    throw Refusal.through(error, array, `[${index}]`)
  }
}

function writeProperties(out: ByteWriter, object: object, depth: number): void {
  let key = ''
  try {
    for (key in object) {
      if (!isOwn.call(object, key)) continue
      writeText(out, key)
      writeValue(out, (object as Record<string, unknown>)[key], depth + 1)
    }
    out.u8(Tag.end)
  } catch (error) {
    throw Refusal.through(error, object, propertyAccess(key))
  }
}

/** Writes what has a class. These tests see through other realms and are not fooled by names. */
function writeInstance(out: ByteWriter, value: object, depth: number): void {
  if (writeBinary(out, value) || writeBuiltin(out, value)) return
  if (types.isMap(value)) writeMap(out, value, depth)
  else if (types.isSet(value)) writeSet(out, value, depth)
  else if (types.isNativeError(value) || value instanceof Error) writeError(out, value, depth)
  else if (types.isBoxedPrimitive(value)) writeValue(out, value.valueOf(), depth + 1)
  else {
    refuseLocal(value)
    writePlain(out, value, depth)
  }
}

// Not the map's own: a subclass may override how it is walked, and owe us pairs.
const { entries: entriesOf } = Map.prototype
const { values: membersOf } = Set.prototype

function writeMap(out: ByteWriter, map: Map<unknown, unknown>, depth: number): void {
  let index = 0
  let half = 'keys'
  try {
    out.u8(Tag.map)
    for (const [key, value] of entriesOf.call(map)) {
      half = 'keys'
      writeValue(out, key, depth + 1)
      half = 'values'
      writeValue(out, value, depth + 1)
      index++
    }
    out.u8(Tag.end)
  } catch (error) {
    throw Refusal.through(error, map, `.${half}()[${index}]`)
  }
}

function writeSet(out: ByteWriter, set: Set<unknown>, depth: number): void {
  let index = 0
  try {
    out.u8(Tag.set)
    for (const member of membersOf.call(set)) {
      writeValue(out, member, depth + 1)
      index++
    }
    out.u8(Tag.end)
  } catch (error) {
    throw Refusal.through(error, set, `.values()[${index}]`)
  }
}

/** Errors lead back to themselves more often than data does, so they are tracked at any depth. */
function writeError(out: ByteWriter, error: Error, depth: number): void {
  if (depth < TRACKED_DEPTH) writeTracked(out, error, TRACKED_DEPTH)
  else writeErrorFields(out, error, depth)
}

/**
 * Writes as much of an error as there is to be had. When it is sent, something has gone wrong
 * already: a property that cannot be read or sent is left out, and hides nothing of the rest.
 */
function writeErrorFields(out: ByteWriter, error: Error, depth: number): void {
  out.u8(Tag.error)
  const name = attempt(() => error.name)
  writeText(out, typeof name === 'string' ? name : 'Error')
  for (const key of errorKeys(error)) {
    const start = out.position
    try {
      writeText(out, key)
      writeValue(out, Reflect.get(error, key), depth + 1)
    } catch (cause) {
      if (isTooLong(out, cause)) throw cause
      out.position = start
    }
  }
  out.u8(Tag.end)
}

/** Whether it is the message that is too long, which is no fault of the part at which that showed. */
function isTooLong({ refusal }: ByteWriter, error: unknown): boolean {
  return refusal !== undefined && Refusal.origin(error) === refusal
}

/** Sent wherever on the prototype chain they are; of others, what is own and enumerable. */
const ERROR_FIELDS = ['message', 'stack', 'cause', 'errors', 'code']

function errorKeys(error: Error): string[] {
  const fields = ERROR_FIELDS.filter((key) => attempt(() => key in error))
  const own = attempt(() => Object.keys(error)) ?? []
  return [...fields, ...own.filter((key) => key !== 'name' && !ERROR_FIELDS.includes(key))]
}

/** What `read` returns, or `undefined` if it throws. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
