// Property names as they are read. The same few come over a link again and again, so they are known
// by their bytes and handed out as the strings they were the last time: nothing is allocated.

import type { ByteReader } from '../bytes.js'
import { FIRST_SHORT_TEXT } from './format.js'
import { isShortText, readText, shortTextAt } from './text.js'

/** A power of two. They come in pairs, so that two names can share one hash; a third one replaces. */
const SLOTS = 1024

/** The name of a property. */
export interface Key {
  readonly text: string
  /** Whether assigning creates the property: not so for `__proto__`, or what else is inherited. */
  readonly assignable: boolean
}

interface KnownKey extends Key {
  /** Plain numbers: of this few, an array is compared faster than a string or a typed array. */
  readonly codes: readonly number[]
}

const known: (KnownKey | undefined)[] = new Array(SLOTS).fill(undefined)

/** Reads the key that `tag` begins. */
export function readKey(reader: ByteReader, tag: number): Key {
  if (!isShortText(tag)) {
    const text = readText(reader, tag)
    return { text, assignable: isAssignable(text) }
  }
  const length = tag - FIRST_SHORT_TEXT
  const start = reader.take(length)
  const slot = slotOf(reader.buffer, start, length)
  const first = known[slot]
  if (isNext(first, reader, length)) return first
  const second = known[slot ^ 1]
  if (isNext(second, reader, length)) return second

  const key = createKey(shortTextAt(reader.buffer, start, length))
  known[slot ^ 1] = first
  known[slot] = key
  return key
}

function createKey(text: string): KnownKey {
  const codes: number[] = []
  for (let i = 0; i < text.length; i++) codes.push(text.charCodeAt(i))
  return { text, assignable: isAssignable(text), codes }
}

function isAssignable(text: string): boolean {
  return !(text in Object.prototype)
}

/** Three characters and the length tell most names apart. Where they do not, `isNext` does. */
function slotOf(buffer: Buffer, start: number, length: number): number {
  if (length === 0) return 0
  const first = buffer[start] as number
  const middle = buffer[start + (length >> 1)] as number
  const last = buffer[start + length - 1] as number
  return (first * 31 + middle * 131 + last * 7 + length) & (SLOTS - 1)
}

/** Whether the `length` bytes just read are this key's. */
function isNext(key: KnownKey | undefined, reader: ByteReader, length: number): key is KnownKey {
  if (key?.codes.length !== length) return false
  const { buffer, position } = reader
  const start = position - length
  for (let i = 0; i < length; i++) if (key.codes[i] !== buffer[start + i]) return false
  return true
}
