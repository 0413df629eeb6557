// What a worker asks of the primary when its app listens.
//
//    worker                                            primary
//      │── bind: host, port ─────────────────────────────▶│  listens, if it does not yet
//      │◀─ the address, or the error ─────────────────────│
//      │── enter: whether its server takes upgrades ─────▶│  from now on it is given requests of that port
//      │── enter ────────────────────────────────────────▶│  that has changed
//      │── leave ────────────────────────────────────────▶│  and now no longer

import type { AddressInfo } from 'node:net'
import { type Contract, contract, type Procedure, procedure, type Schema } from '@clusterwire/core'

/** Where an app wants to listen, as Node's own `net` has worked it out. */
export interface Endpoint {
  /** An IP address; `null` for all. */
  readonly address: string | null
  /** 0 for any free one. */
  readonly port: number
  /** Which of the app's servers on port 0 it is, from 0: all workers' first ones share a port, and so do their second ones. */
  readonly index: number
}

/** A worker's server that listens. */
export interface Entry extends Endpoint {
  /** Whether somebody there listens to upgrades now. */
  readonly upgrades: boolean
}

/** What Node says of a failure to listen. */
export interface ListenFailure {
  readonly message: string
  readonly code?: string | undefined
  readonly errno?: number | undefined
  readonly syscall?: string | undefined
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/** The address that the primary listens on, or why it does not. */
export type Bound =
  | { readonly address: AddressInfo; readonly failure?: undefined }
  | { readonly failure: ListenFailure; readonly address?: undefined }

/** Served by a primary that has a transparent front. */
export const listening: Contract<{
  readonly bind: Procedure<Schema<Endpoint>, Schema<Bound>>
  readonly enter: Procedure<Schema<Entry>, undefined>
  readonly leave: Procedure<Schema<Endpoint>, undefined>
}> = contract('clusterwire.listening', {
  bind: procedure({ input: schema<Endpoint>(isEndpoint), output: schema<Bound>(() => true) }),
  enter: procedure({ input: schema<Entry>(isEntry) }),
  leave: procedure({ input: schema<Endpoint>(isEndpoint) }),
})

/** A name for an endpoint, the same in every worker. */
export function keyOf({ address, port, index }: Endpoint): string {
  return port === 0 ? `${address ?? '*'} 0 ${index}` : `${address ?? '*'} ${port}`
}

function isEndpoint(value: unknown): boolean {
  const { address, port, index } = (value ?? {}) as Partial<Record<keyof Endpoint, unknown>>
  return (
    (address === null || typeof address === 'string') &&
    (port as number) >= 0 &&
    (port as number) < 2 ** 16 &&
    Number.isInteger(port) &&
    Number.isInteger(index)
  )
}

function isEntry(value: unknown): boolean {
  return isEndpoint(value) && typeof (value as Partial<Entry>).upgrades === 'boolean'
}

/** A schema without a library. */
function schema<T>(fits: (value: unknown) => boolean): Schema<T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'clusterwire',
      validate: (value) =>
        fits(value) ? { value: value as T } : { issues: [{ message: 'is no endpoint' }] },
    },
  }
}
