// What is compared of an exchange, and what is certain about it.
import { expect } from 'vitest'
import type { Answer, Client } from './client.js'
import type { Exchange } from './exchanges.js'
import type { Form } from './load.js'

/** Runs an exchange; resolves with what its client has seen. */
export async function seen({ run }: Exchange, client: Client, form: Form): Promise<unknown> {
  const result = await run(client)
  return form.otherCode ? alike(result) : result
}

/** Fails when an exchange has not gone as it has to. */
export function expectCertain({ sees }: Exchange, result: unknown): void {
  if (sees instanceof RegExp) expect(result).toMatch(sees)
  else if (sees !== undefined) expect(result).toMatchObject(sees)
}

/** Answers with their headers in the order of their names, without those that say how the body's end is found. */
function alike(result: unknown): unknown {
  if (Array.isArray(result)) return result.map(alike)
  const { headers, ...rest } = result as Answer
  const pairs = headers.flatMap((name, i) =>
    i % 2 === 0 ? [`${name.toLowerCase()}: ${headers[i + 1]}`] : [],
  )
  const kept = pairs.filter((pair) => !/^(transfer-encoding: |content-length: 0$)/.test(pair))
  return { ...rest, headers: kept.sort() }
}
