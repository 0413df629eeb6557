// What the front refuses before any worker has to do with it.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import { type Refusal, Refusals } from './refusal.js'

/** How large requests may be. */
export interface Limits {
  /** Bytes of a request's body; more is refused with 413. Default: any number */
  readonly maxBodyBytes?: number
  /** Characters of a request's URL; more is refused with 414. Default: what fits in Node's `maxHeaderSize`, 16 KiB, beyond which Node answers 431 */
  readonly maxUrlLength?: number
}

/** @throws InvalidOptionError */
export function assertLimit(name: string, value: number, least: number): void {
  if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= least)) return
  throw new InvalidOptionError(`${name}: a whole number from ${least} on is allowed, got ${value}`)
}

/** Why a request is refused by what its head says; `undefined` when it is not. */
export function excessOf(
  { url = '', headers }: IncomingMessage,
  { maxUrlLength, maxBodyBytes }: Required<Limits>,
): Refusal | undefined {
  if (url.length > maxUrlLength) return Refusals.urlTooLong
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return Refusals.bodyTooLarge
  return undefined
}
