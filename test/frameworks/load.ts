// The forms, typed: they are plain JavaScript, because real workers load them too.
import type { Server } from 'node:http'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { type Exchange, exchanges } from './exchanges.js'

export interface Form {
  readonly lacks: readonly string[]
  readonly otherCode?: true
  plain(): Promise<Server>
  serve(worker: ClusterPeer): Promise<Server>
}

const file = new URL('./forms.js', import.meta.url).href
const module = (await import(file)) as { readonly forms: Readonly<Record<string, Form>> }

export const forms: Readonly<Record<string, Form>> = module.forms

/** The exchanges that make sense with an app, by name. */
export function exchangesFor({ lacks }: Form): [string, Exchange][] {
  return Object.entries(exchanges).filter(([, { needs }]) => !needs || !lacks.includes(needs))
}
