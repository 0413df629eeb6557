// The part of Standard Schema (standardschema.dev, version 1) that Clusterwire uses: zod 4 implements it, and so do others.

/** A schema that turns an unknown value into an `Output`, or says why it can't. */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a schema answers: the value, or the issues it has with it. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One complaint of a schema: a sentence, and the path to the field it is about. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/**
 * Any schema at all. What stands under `~standard` is left open here and looked at when a contract is made: to compare it member by member, the
 * compiler would have to work out both types of every schema of a contract, used or not.
 */
export interface AnySchema {
  // biome-ignore lint/suspicious/noExplicitAny: any `Schema<Input, Output>` has to fit, at no cost.
  readonly '~standard': any
}

/** What one may pass to the schema. */
export type InputOf<S extends AnySchema> = S extends ZodTypes
  ? S['_zod']['input']
  : NonNullable<S['~standard']['types']>['input']

/** What comes out of the schema. */
export type OutputOf<S extends AnySchema> = S extends ZodTypes
  ? S['_zod']['output']
  : NonNullable<S['~standard']['types']>['output']

/** Where zod 4 keeps a schema's types. Its `~standard` tells the same, at several times the price to the compiler. */
interface ZodTypes {
  readonly _zod: { readonly input: unknown; readonly output: unknown }
}

/** The schema that {@link bytes} makes. */
export type BytesSchema = Schema<Uint8Array, Uint8Array>

const BYTES: BytesSchema = Object.freeze({
  '~standard': Object.freeze({
    version: 1,
    vendor: 'clusterwire',
    validate: (value: unknown) =>
      value instanceof Uint8Array
        ? { value }
        : {
            issues: [{ message: `must be bytes (a Uint8Array or a Buffer), got ${typeof value}` }],
          },
    // What tells versions of a contract apart, as zod's schemas have it.
    jsonSchema: Object.freeze({ input: describeBytes, output: describeBytes }),
  }),
})

function describeBytes() {
  return { 'x-type': 'bytes' }
}

/**
 * The schema of raw bytes. A stream of them carries bytes and not values: pieces of any size are cut as the link likes it, their bounds mean
 * nothing, and nothing is encoded. Elsewhere it is the schema of one `Uint8Array`.
 */
export function bytes(): BytesSchema {
  return BYTES
}

/** Whether this is the schema of raw bytes. */
export function isBytes(schema: AnySchema | undefined): boolean {
  return schema === BYTES
}

/** Schema issues as one line: `quantity: must be positive; sku: is required`. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  return issues.map(describeIssue).join('; ')
}

function describeIssue({ message, path }: SchemaIssue): string {
  if (!path?.length) return message
  const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
  return `${keys.join('.')}: ${message}`
}
