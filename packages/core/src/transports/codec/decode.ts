// Bytes to values. Whatever the bytes: the outcome is a value or a MalformedError.

import { ByteReader, MalformedError } from '../bytes.js'
import { readBinary } from './binary.js'
import { readDate, readRegExp, readUrl } from './builtins.js'
import { FIRST_NAMED, FIRST_NEGATIVE, FIRST_SHORT_TEXT, MAX_DEPTH, Tag } from './format.js'
import { readKey } from './keys.js'
import { readMagnitude } from './numbers.js'
import { readShortText, readText } from './text.js'

/** One for all: decoding runs no code of the user's that could decode in between. */
const shared = new ByteReader()

/**
 * Reads the value that takes exactly the bytes from `start` up to `end`, which lie within `buffer`.
 * Keeps none of them: binary is copied.
 *
 * @throws MalformedError on anything else than what `encodeValue` writes
 */
export function decodeValue(buffer: Buffer, start: number, end: number): unknown {
  const reader = shared
  reader.reset(buffer, start, end)
  try {
    const value = readValue(reader, reader.u8(), 0)
    if (reader.position < end) throw new MalformedError('The value ended early', reader.position)
    return value
  } catch (error) {
    if (error instanceof MalformedError) throw error
    // A constructor does not accept what it was given: a pattern, a URL, a length.
    throw new MalformedError('No value is like this', reader.position, { cause: error })
  } finally {
    reader.reset()
  }
}

/** Reads the value that `tag` begins; `depth` containers are around it. */
function readValue(reader: ByteReader, tag: number, depth: number): unknown {
  if (tag < FIRST_SHORT_TEXT) return tag
  if (tag < FIRST_NEGATIVE) return readShortText(reader, tag)
  if (tag < FIRST_NAMED) return tag - FIRST_NAMED
  switch (tag) {
    case Tag.null:
      return null
    case Tag.undefined:
      return undefined
    case Tag.false:
      return false
    case Tag.true:
      return true
    case Tag.int16:
      return reader.i16()
    case Tag.int32:
      return reader.i32()
    case Tag.float64:
      return reader.f64()
    case Tag.ascii:
    case Tag.utf8:
      return readText(reader, tag)
    case Tag.bigint64:
      return reader.i64()
    case Tag.bigPositive:
      return readMagnitude(reader)
    case Tag.bigNegative:
      return -readMagnitude(reader)
    case Tag.date:
      return readDate(reader)
    case Tag.regexp:
      return readRegExp(reader)
    case Tag.url:
      return readUrl(reader)
    case Tag.binary:
      return readBinary(reader)
    default:
      return readContainer(reader, tag, depth)
  }
}

function readContainer(reader: ByteReader, tag: number, depth: number): unknown {
  if (depth >= MAX_DEPTH) throw new MalformedError(`Deeper than ${MAX_DEPTH}`, reader.position)
  switch (tag) {
    case Tag.object:
      return readProperties(reader, {}, depth + 1)
    case Tag.nullObject:
      return readProperties(reader, Object.create(null), depth + 1)
    case Tag.array:
      return readArray(reader, depth + 1)
    case Tag.map:
      return readMap(reader, depth + 1)
    case Tag.set:
      return new Set(readArray(reader, depth + 1))
    case Tag.error:
      return readError(reader, depth + 1)
    default:
      throw new MalformedError(`Unknown tag ${tag}`, reader.position - 1)
  }
}

function readArray(reader: ByteReader, depth: number): unknown[] {
  const array: unknown[] = []
  for (let tag = reader.u8(); tag !== Tag.end; tag = reader.u8()) {
    array.push(readValue(reader, tag, depth))
  }
  return array
}

function readProperties(
  reader: ByteReader,
  object: Record<string, unknown>,
  depth: number,
): Record<string, unknown> {
  for (let tag = reader.u8(); tag !== Tag.end; tag = reader.u8()) {
    const key = readKey(reader, tag)
    const value = readValue(reader, reader.u8(), depth)
    if (key.assignable) object[key.text] = value
    else defineProperty(object, key.text, { value, enumerable: true })
  }
  return object
}

function readMap(reader: ByteReader, depth: number): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>()
  for (let tag = reader.u8(); tag !== Tag.end; tag = reader.u8()) {
    const key = readValue(reader, tag, depth)
    map.set(key, readValue(reader, reader.u8(), depth))
  }
  return map
}

/** As `new Error()` has them: there, but not among the keys. */
const HIDDEN_FIELDS = new Set(['name', 'message', 'stack', 'cause', 'errors'])

function readError(reader: ByteReader, depth: number): Error {
  const name = readText(reader, reader.u8())
  const error = createError(name)
  if (error.name !== name) defineProperty(error, 'name', { value: name, enumerable: false })
  for (let tag = reader.u8(); tag !== Tag.end; tag = reader.u8()) {
    const key = readKey(reader, tag).text
    const value = readValue(reader, reader.u8(), depth)
    defineProperty(error, key, { value, enumerable: !HIDDEN_FIELDS.has(key) })
  }
  return error
}

const BUILTIN_ERRORS: ReadonlyMap<string, ErrorConstructor> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(
    (Builtin) => [Builtin.name, Builtin],
  ),
)

/** Without a stack: the sender's replaces it, and capturing one of our own would cost the most. */
function createError(name: string): Error {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    if (name === 'AggregateError') return new AggregateError([])
    return new (BUILTIN_ERRORS.get(name) ?? Error)()
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** Never runs a setter and never changes a prototype, whatever the key. */
function defineProperty(
  object: object,
  key: string,
  property: { value: unknown; enumerable: boolean },
): void {
  Object.defineProperty(object, key, { ...property, writable: true, configurable: true })
}
