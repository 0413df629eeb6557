// What a handler threw, as far as it can be told to another process: read here, and made into an error again there.

import type { Thrown } from './frames.js'

/** How deep a chain of causes is told. */
const MAX_CAUSES = 8

/** How many errors are told of in all: causes, and those that an AggregateError collects, have causes and errors of their own. */
const MAX_ERRORS = 32

/** Longer texts are cut: a message is for people. */
const MAX_TEXT = 8 * 1024

/**
 * Reads what can be read. Never throws: the value may be a string, a proxy, or an error whose getters throw.
 *
 * @param stacks whether stack traces may be told
 */
export function readThrown(value: unknown, stacks: boolean): Thrown {
  return read(value, { stacks, depth: 0, count: { left: MAX_ERRORS - 1 } })
}

interface Reading {
  readonly stacks: boolean
  readonly depth: number
  /** How many more errors may be told of. */
  readonly count: { left: number }
}

function read(value: unknown, reading: Reading): Thrown {
  const isError = attempt(() => value instanceof Error) ?? false
  if (!isError)
    return {
      name: 'Error',
      message: cut(attempt(() => String(value)) ?? '(something that can not be turned into text)'),
    }
  const error = value as Error & Record<string, unknown>
  const get = (key: string) => attempt(() => error[key] as unknown)
  const text = (key: string) => {
    const found = get(key)
    return typeof found === 'string' ? cut(found) : undefined
  }
  const code = get('code')
  const stack = reading.stacks ? text('stack') : undefined
  // Its own: what an error inherits says something about its class.
  const data = attempt(() => (Object.hasOwn(error, 'data') ? error.data : undefined))
  const cause = readMore([get('cause')], reading)[0]
  const errors = readMore(collectedBy(error), reading)
  return {
    name: text('name') ?? 'Error',
    message: text('message') ?? '(its message can not be read)',
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(data === undefined ? {} : { data }),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause }),
    ...(errors.length === 0 ? {} : { errors }),
  }
}

/** The errors behind an error, as many as there is room for. */
function readMore(values: readonly unknown[], { stacks, depth, count }: Reading): Thrown[] {
  if (depth >= MAX_CAUSES) return []
  const told: Thrown[] = []
  for (const value of values) {
    if (value === undefined || count.left === 0) continue
    count.left--
    told.push(read(value, { stacks, depth: depth + 1, count }))
  }
  return told
}

function collectedBy(error: Error): readonly unknown[] {
  const copy = () => {
    const errors = error instanceof AggregateError ? (error.errors as unknown) : undefined
    return Array.isArray(errors)
      ? Array.from(
          { length: Math.min(errors.length, MAX_ERRORS) },
          (_, at) => errors[at] as unknown,
        )
      : []
  }
  return attempt(copy) ?? []
}

/** The same without what programs attached to the errors: any value at all, which may be none that can be sent. */
export function withoutData({ data: _, cause, errors, ...rest }: Thrown): Thrown {
  return {
    ...rest,
    ...(cause === undefined ? {} : { cause: withoutData(cause) }),
    ...(errors === undefined ? {} : { errors: errors.map(withoutData) }),
  }
}

/** Makes an error of what came over the wire. */
export function reviveThrown({ name, message, code, data, stack, cause, errors }: Thrown): Error {
  const details = cause === undefined ? {} : { cause: reviveThrown(cause) }
  const error = Array.isArray(errors)
    ? new AggregateError(errors.map(reviveThrown), message, details)
    : new Error(message, details)
  error.name = String(name)
  error.stack = stack ?? `${error.name}: ${error.message}\n    (its stack was not sent)`
  for (const [key, value] of Object.entries({ code, data }))
    if (value !== undefined) Object.defineProperty(error, key, { value, enumerable: true })
  return error
}

/**
 * Lets an error's stack go on in the process where it was thrown, below a line that says which that is. The part of this process may be
 * written anew, as a call does that knows the line it was made in.
 *
 * @param who the peer where it was thrown, as a message names it
 */
export function continueStack(error: Error, who: string, { stack }: Thrown): void {
  if (typeof stack !== 'string') return
  const there = `\n    -- on ${who}:\n${stack}`
  let here = String(error.stack)
  Object.defineProperty(error, 'stack', {
    get: () => here + there,
    set(text: unknown) {
      here = String(text).replace(there, '')
    },
    configurable: true,
    enumerable: false,
  })
}

/** What `get` returns; `undefined` when it throws. */
export function attempt<T>(get: () => T): T | undefined {
  try {
    return get()
  } catch {
    return undefined // What was thrown is hostile or broken: that this part can't be told is all there is to say about it.
  }
}

/** A text, not longer than people read. */
export function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}
