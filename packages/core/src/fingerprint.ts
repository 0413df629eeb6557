// What a procedure looks like, as a short text: equal where two versions of a program mean the same, so that others can be told apart.

import type { Named, Procedure, Stream } from './contract.js'
import type { AnySchema } from './schema.js'

/** A schema that can describe itself (Standard JSON Schema, version 1): zod does since 4.2. */
interface SelfDescribing {
  readonly jsonSchema?: Readonly<Record<Side, (options: object) => unknown>>
}

type Side = 'input' | 'output'

/** Types without a form in JSON Schema (dates, bytes) are left open rather than refused. */
const OPTIONS = {
  target: 'draft-2020-12',
  libraryOptions: { unrepresentable: 'any', override: nameType },
}

/** What zod calls when it has described a schema: one without a form in JSON Schema is at least told apart by its type's name. */
function nameType({ zodSchema, jsonSchema }: ZodDescription): void {
  if (Object.keys(jsonSchema).length === 0) jsonSchema['x-type'] = zodSchema._zod.def.type
}

interface ZodDescription {
  readonly zodSchema: { readonly _zod: { readonly def: { readonly type: string } } }
  readonly jsonSchema: Record<string, unknown>
}

/** Fingerprints that were computed: a member never changes, and describing a schema takes about 0.2 ms. */
const known = new WeakMap<object, string>()

/**
 * Computes a fingerprint from the JSON form of a member's schemas. Empty when a schema can't describe itself: such a member is taken to be
 * the same on both sides, and only validation tells.
 */
export function fingerprintOf(member: Named<Procedure> | Named<Stream>): string {
  let fingerprint = known.get(member)
  if (fingerprint === undefined) {
    fingerprint = compute(member)
    known.set(member, fingerprint)
  }
  return fingerprint
}

function compute(member: Named<Procedure> | Named<Stream>): string {
  try {
    const upload = member.kind === 'stream' ? describe(member.upload, 'input') : null
    const errors = Object.entries(member.errors).map(([code, schema]) => [
      code,
      describe(schema, 'input'),
    ])
    const parts = [
      member.kind,
      describe(member.input, 'input'),
      upload,
      describe(member.output, 'input'),
      errors,
    ]
    return hash(JSON.stringify(parts, sortKeys))
  } catch {
    return '' // A schema of another library, or one that recurs: validation alone decides then.
  }
}

/** Whether the values that a schema gives are values that it takes: it changes nothing, so it can be applied twice. */
export function isPlain(schema: AnySchema | undefined): boolean {
  try {
    const [input, output] = [describe(schema, 'input'), describe(schema, 'output')]
    return JSON.stringify(input, leaveOpen) === JSON.stringify(output, leaveOpen)
  } catch {
    return false
  }
}

function describe(schema: AnySchema | undefined, side: Side): unknown {
  if (schema === undefined) return null
  const { jsonSchema } = schema['~standard'] as SelfDescribing
  if (jsonSchema === undefined) throw new TypeError('the schema can not describe itself')
  return jsonSchema[side](OPTIONS)
}

/** An object that drops keys it does not know says that its output has no others: that changes nothing when it is done twice. */
function leaveOpen(key: string, value: unknown): unknown {
  return key === 'additionalProperties' && value === false ? undefined : value
}

/** The order of an object's keys means nothing, here and where JSON Schema lists those that must be there. */
function sortKeys(key: string, value: unknown): unknown {
  if (key === 'required' && Array.isArray(value)) return value.toSorted()
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** FNV-1a (Fowler, Noll, Vo) with 64 bits: to tell versions apart, not to resist anybody. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n
  for (let at = 0; at < text.length; at++)
    value = BigInt.asUintN(64, (value ^ BigInt(text.charCodeAt(at))) * 0x100000001b3n)
  return value.toString(36)
}
