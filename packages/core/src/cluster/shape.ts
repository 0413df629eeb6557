// Schemas by hand, for what a cluster says to itself. zod's would do as well, but every worker would have to load it for these alone: 42 ms
// of its start and 8 MiB.

import type { Schema, SchemaResult } from '../schema.js'

interface Types {
  readonly string: string
  /** A finite one. */
  readonly number: number
  readonly boolean: boolean
}

type Fields = Readonly<Record<string, keyof Types>>

type ShapeOf<F extends Fields> = { readonly [K in keyof F]: Types[F[K]] }

/** The schema of objects with these fields. Others are left out. */
export function shape<const F extends Fields>(fields: F): Schema<ShapeOf<F>> {
  const describe = () => ({ type: 'object', properties: fields })
  return standard((value) => {
    const given = Object(value) as Record<string, unknown>
    const issues = Object.entries(fields)
      .filter(([key, type]) => !isOfType(given[key], type))
      .map(([key, type]) => ({ message: `must be a ${type}`, path: [key] }))
    if (issues.length > 0) return { issues }
    const picked = Object.keys(fields).map((key) => [key, given[key]])
    return { value: Object.fromEntries(picked) as ShapeOf<F> }
  }, describe)
}

/** The schema of what is not looked at: a value that only ever comes from the same code. */
export function unchecked<T>(): Schema<T> {
  return standard(
    (value) => ({ value: value as T }),
    () => ({}),
  )
}

export function isOfType<T extends keyof Types>(value: unknown, type: T): value is Types[T] {
  return type === 'number' ? Number.isFinite(value) : typeof value === type
}

/** @param describe tells versions apart, as zod's schemas do */
function standard<T>(
  validate: (value: unknown) => SchemaResult<T>,
  describe: () => object,
): Schema<T> {
  const jsonSchema = { input: describe, output: describe }
  return {
    '~standard': Object.assign({ version: 1, vendor: 'clusterwire', validate } as const, {
      jsonSchema,
    }),
  }
}
