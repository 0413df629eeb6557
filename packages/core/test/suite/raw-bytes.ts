// Streams of raw bytes: what matters is the bytes and their order, not how they were cut.

import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { bytes, contract, procedure, stream } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { allReady, failureOf } from '../support.js'
import { openPair, type Stage } from './scene.js'

const store = contract('store', {
  read: stream({ input: z.object({ size: z.int() }), output: bytes() }),
  write: stream({ upload: bytes(), output: z.object({ sha: z.string(), size: z.int() }) }),
  both: stream({ upload: bytes(), output: bytes() }),
  one: procedure({ input: bytes(), output: bytes() }),
})

const MB = 1024 * 1024
const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

export function describeRawBytes(stage: Stage): void {
  const opened = async (data: Uint8Array = randomBytes(3 * MB)) => {
    const pair = await openPair(stage)
    pair.callee.serve(store, {
      // As large as a caller asks for: larger than a frame may be, too.
      async *read({ size }) {
        yield data.subarray(0, size)
      },
      async write(_input, { upload }) {
        const all = await joined(upload)
        return { sha: sha(all), size: all.length }
      },
      async *both(_input, { upload }) {
        for await (const piece of upload) yield piece.map((byte) => byte ^ 0xff)
      },
      one: (input) => input,
    })
    await allReady(pair.mesh)
    return { data, client: pair.caller.client(store, pair.target) }
  }

  test('bytes arrive as they were, whatever the size of what was yielded', async () => {
    const { data, client } = await opened(randomBytes(20 * MB))
    for (const size of [0, 1, 65_535, 65_536, 65_537, data.length]) {
      const all = await joined(client.read({ size }))
      expect(all.length).toBe(size)
      expect(all.equals(data.subarray(0, size))).toBe(true)
    }
  })

  test('any source of bytes can be uploaded: arrays of pieces, generators, Node streams', async () => {
    const { data, client } = await opened()
    const want = { sha: sha(data), size: data.length }
    function* pieces() {
      for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000)
    }
    expect(await client.write(undefined, { upload: [data] })).toEqual(want)
    expect(await client.write(undefined, { upload: pieces() })).toEqual(want)
    expect(await client.write(undefined, { upload: Readable.from(pieces()) })).toEqual(want)
    expect(await client.write(undefined, { upload: [new Uint8Array(0)] })).toMatchObject({
      size: 0,
    })
  })

  test('bytes go both ways at once, and what was received is the reader’s own', async () => {
    const { data, client } = await opened()
    const pieces: Uint8Array[] = []
    for await (const piece of client.both(undefined, { upload: [data] })) {
      pieces.push(piece.slice())
      piece.fill(0)
    }
    const flipped = Buffer.from(data.map((byte) => byte ^ 0xff))
    expect(Buffer.concat(pieces).equals(flipped)).toBe(true)
  })

  test('what is no bytes is refused where it is sent', async () => {
    const { client } = await opened()
    const upload = ['text'] as unknown as Uint8Array[]
    expect(await failureOf(client.write(undefined, { upload }))).toMatchObject({
      code: 'INVALID_REQUEST',
      procedure: 'store.write',
      message: expect.stringContaining('must be bytes'),
    })
  })

  test('outside a stream they are one value', async () => {
    const { client } = await opened()
    expect(await client.one(new Uint8Array([1, 2, 3]))).toEqual(new Uint8Array([1, 2, 3]))
  })
}
