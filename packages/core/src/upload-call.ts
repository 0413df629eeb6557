// A stream with an upload as something to await: for its only value, or for all of its bytes.

import type { Named, Stream } from './contract.js'
import { InvalidResponseError } from './errors.js'
import type { UploadCall } from './infer.js'
import { isBytes } from './schema.js'

type Values = AsyncIterableIterator<unknown, undefined>

/** Makes a stream's values awaitable, too. It is read when it is first awaited. */
export function awaitable(stream: Named<Stream>, values: Values): UploadCall<unknown> {
  let value: Promise<unknown> | undefined
  const read = () => {
    value ??= isBytes(stream.output) ? allBytes(values) : onlyValue(stream, values)
    return value
  }
  const promise: Omit<UploadCall<unknown>, keyof Values> = {
    // biome-ignore lint/suspicious/noThenProperty: awaiting it is its purpose.
    then: (onValue, onError) => read().then(onValue, onError),
    catch: (onError) => read().catch(onError),
    finally: (onEnd) => read().finally(onEnd),
  }
  return Object.assign(values, promise) as UploadCall<unknown>
}

async function onlyValue({ name }: Named<Stream>, values: Values): Promise<unknown> {
  const first = await values.next()
  if (first.done) return undefined
  const second = await values.next()
  if (second.done) return first.value
  await values.return?.()
  const message = 'the stream gives more than one value; iterate over it instead of awaiting it'
  throw new InvalidResponseError(`${name}: ${message}`, { procedure: name, issues: [{ message }] })
}

/** Their bounds mean nothing, so all of them together are the one value. */
async function allBytes(values: Values): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of values) pieces.push(piece as Uint8Array)
  const all = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
