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

/** Any schema at all. */
// biome-ignore lint/suspicious/noExplicitAny: input and output vary independently, so no narrower type accepts every schema.
export type AnySchema = Schema<any, any>

/** What one may pass to the schema. */
export type InputOf<S extends AnySchema> = NonNullable<S['~standard']['types']>['input']

/** What comes out of the schema. */
export type OutputOf<S extends AnySchema> = NonNullable<S['~standard']['types']>['output']

/** Schema issues as one line: `quantity: must be positive; sku: is required`. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  return issues.map(describeIssue).join('; ')
}

function describeIssue({ message, path }: SchemaIssue): string {
  if (!path?.length) return message
  const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
  return `${keys.join('.')}: ${message}`
}
