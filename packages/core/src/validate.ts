// Values against schemas: at once where the schema answers at once, and later only where it must.

import {
  type ClusterwireError,
  type ErrorDetails,
  InvalidRequestError,
  InvalidResponseError,
} from './errors.js'
import {
  type AnySchema,
  describeIssues,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
} from './schema.js'

/** What makes the error when a value does not fit. */
export type Refuse = (issues: readonly SchemaIssue[]) => ClusterwireError

/**
 * Validates a value; returns it as the schema makes it, or a promise of that when the schema is asynchronous.
 *
 * @param schema without one, there must be no value either
 * @throws what `refuse` makes, at once or as a rejection
 */
export function validate(schema: AnySchema | undefined, value: unknown, refuse: Refuse): unknown {
  if (schema === undefined) {
    if (value === undefined) return undefined
    throw refuse([{ message: 'there is no schema for it, so it must be left out' }])
  }
  const result = (schema as Schema)['~standard'].validate(value)
  return result instanceof Promise
    ? result.then((late) => accept(late, refuse))
    : accept(result, refuse)
}

function accept(result: SchemaResult<unknown>, refuse: Refuse): unknown {
  if (result.issues !== undefined) throw refuse(result.issues)
  return result.value
}

/** Refuses what goes to a handler or a subscriber. `what`: the kind of value, for the message. */
export function refuseRequest(procedure: string, what = 'input'): Refuse {
  return (issues) =>
    new InvalidRequestError(`${procedure}: invalid ${what}: ${describeIssues(issues)}`, {
      procedure,
      issues,
    } satisfies ErrorDetails & { issues: readonly SchemaIssue[] })
}

/** Refuses what comes from a handler. */
export function refuseResponse(procedure: string, what = 'output'): Refuse {
  return (issues) =>
    new InvalidResponseError(
      `${procedure}: the handler gave an invalid ${what}: ${describeIssues(issues)}`,
      { procedure, issues },
    )
}
