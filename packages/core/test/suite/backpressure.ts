// Readers that are slower than writers: the writer waits, and nobody else does.

import { expect, test } from 'vitest'
import { WINDOW_BYTES } from '../../src/streams.js'
import { lab } from '../fixtures/lab.js'
import { turn, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

const PIECE = 16 * 1024
const PIECES = 200
/** What may be on its way: a window full, the piece that overdraws it, and the one that waits behind. */
const IN_FLIGHT = WINDOW_BYTES / PIECE + 2

export function describeBackpressure(stage: Stage): void {
  test('a slow reader holds its producer back, and other calls are answered meanwhile', async () => {
    let produced = 0
    const { caller, target } = await openPair(stage, {
      async *pieces({ count, size }) {
        for (; produced < count; ) {
          produced++
          yield new Uint8Array(size)
        }
      },
    })
    const client = caller.client(lab, target)
    let consumed = 0
    let ahead = 0
    for await (const piece of client.pieces({ count: PIECES, size: PIECE })) {
      expect(piece).toHaveLength(PIECE)
      consumed++
      for (let n = 0; n < 5; n++) await turn()
      ahead = Math.max(ahead, produced - consumed)
      if (consumed % 20 === 0) expect(await client.anything(consumed)).toBe(consumed)
    }
    expect(consumed).toBe(PIECES)
    expect(ahead).toBeLessThanOrEqual(IN_FLIGHT)
  })

  test('C17: a reader that stops holds its producer for good; nothing else on the link waits', async () => {
    let produced = 0
    const { caller, target } = await openPair(stage, {
      async *pieces({ size }) {
        for (;;) {
          produced++
          yield new Uint8Array(size)
        }
      },
    })
    const client = caller.client(lab, target)
    const stuck = client.pieces({ count: 0, size: PIECE })
    await stuck.next()
    for (let n = 0; n < 100; n++) await client.anything(n)
    const held = produced
    expect(held).toBeLessThanOrEqual(IN_FLIGHT + 1)
    const numbers: number[] = []
    for await (const n of client.count({ to: 1000 })) numbers.push(n)
    expect(numbers).toHaveLength(1000)
    expect(produced).toBe(held)
    await stuck.return?.()
  })

  test('a slow handler holds the upload back', async () => {
    let sent = 0
    let received = 0
    let ahead = 0
    const { caller, target } = await openPair(stage, {
      async ingest(_input, { upload }) {
        for await (const { length } of upload) {
          expect(length).toBe(PIECE)
          received++
          for (let n = 0; n < 5; n++) await turn()
          ahead = Math.max(ahead, sent - received)
        }
        return received
      },
    })
    async function* source() {
      for (; sent < PIECES; ) {
        sent++
        yield new Uint8Array(PIECE)
      }
    }
    expect(await caller.client(lab, target).ingest(undefined, { upload: source() })).toBe(PIECES)
    expect(ahead).toBeLessThanOrEqual(IN_FLIGHT)
  })

  test('values of no size are held back, too', async () => {
    let produced = 0
    const { caller, target } = await openPair(stage, {
      async *pieces() {
        for (;;) {
          produced++
          yield new Uint8Array(0)
        }
      },
    })
    const client = caller.client(lab, target)
    const stuck = client.pieces({ count: 0, size: 0 })
    await stuck.next()
    await until(async () => {
      const before = produced
      for (let n = 0; n < 20; n++) await client.anything(n)
      return produced === before
    }, 'the producer is held')
    await stuck.return?.()
  })

  test('a call is answered while a large stream is on its way', async () => {
    const { caller, target } = await openPair(stage)
    const client = caller.client(lab, target)
    let done = false
    const reading = (async () => {
      let size = 0
      for await (const piece of client.pieces({ count: 400, size: 64 * 1024 })) size += piece.length
      done = true
      return size
    })()
    for (let n = 0; n < 5; n++) await client.anything(n)
    expect(done).toBe(false)
    expect(await reading).toBe(400 * 64 * 1024)
  })
}
