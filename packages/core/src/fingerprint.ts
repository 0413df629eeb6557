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

/** What separates the two halves. */
const SEPARATOR = '.'

/**
 * Computes a fingerprint from the JSON form of a member's schemas, in two halves: what it is sent, and what it gives. A half is empty when a
 * schema in it can't describe itself: in that, all versions are taken to be the same, and only validation tells.
 */
export function fingerprintOf(member: Named<Procedure> | Named<Stream>): string {
  let fingerprint = known.get(member)
  if (fingerprint === undefined) {
    fingerprint = [half(() => requestOf(member)), half(() => outputOf(member))].join(SEPARATOR)
    known.set(member, fingerprint)
  }
  return fingerprint
}

/** Whether two fingerprints are certainly of different versions. */
export function differ(
  one: string,
  other: string,
  part: 'anything' | 'output' = 'anything',
): boolean {
  const [oneIn, oneOut] = one.split(SEPARATOR)
  const [otherIn, otherOut] = other.split(SEPARATOR)
  const output = isOther(oneOut, otherOut)
  return part === 'output' ? output : output || isOther(oneIn, otherIn)
}

function isOther(one = '', other = ''): boolean {
  return one !== other && one !== '' && other !== ''
}

function half(describeIt: () => unknown): string {
  try {
    return hash(JSON.stringify(describeIt(), sortKeys))
  } catch {
    return '' // A schema of another library, or one that recurs.
  }
}

function requestOf(member: Named<Procedure> | Named<Stream>): unknown {
  const upload = member.kind === 'stream' ? describe(member.upload, 'input') : null
  const errors = Object.entries(member.errors).map(([code, schema]) => [
    code,
    describe(schema, 'input'),
  ])
  return [member.kind, describe(member.input, 'input'), upload, errors]
}

function outputOf({ output }: Named<Procedure> | Named<Stream>): unknown {
  return [describe(output, 'input'), describe(output, 'output')]
}

function describe(schema: AnySchema | undefined, side: Side): unknown {
  if (schema === undefined) return null
  const { jsonSchema } = schema['~standard'] as SelfDescribing
  if (jsonSchema === undefined) throw new TypeError('the schema can not describe itself')
  return jsonSchema[side](OPTIONS)
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
