// Row C20 of the fault matrix: both sides send as much as they may, at the same time.

import { expect, test } from 'vitest'
import { WINDOW_BYTES } from '../../src/streams.js'
import { lab } from '../fixtures/lab.js'
import { serveLab } from '../fixtures/workbench.js'
import { deferred, failureOf, ManualClock, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

const PIECE = 64 * 1024
/** Several windows of each stream. */
const PIECES = (4 * WINDOW_BYTES) / PIECE
const STREAMS = 4

export function describeFloods(stage: Stage): void {
  test('C20: both sides flood each other with streams until no window has room; calls, cancellations and credit get through, and all ends well', async () => {
    // Time stands still: no deadline can be what ends anything here.
    const { mesh, caller, callee, target } = await openPair(stage, {}, { clock: new ManualClock() })
    // The other way round, too.
    serveLab(caller)
    await until(
      () => callee.peer.directory.get(caller.number)?.procedures.has('lab.sum') ?? false,
      'the callee knows what the caller serves',
    )
    const there = caller.client(lab, target)
    const back = callee.client(lab, {
      to: caller === mesh.primary ? 'primary' : caller.number,
    })
    const go = deferred()
    let sent = 0
    async function* source() {
      for (let n = 0; n < PIECES; n++) {
        sent++
        yield new Uint8Array(PIECE)
      }
    }
    const reads = [there, back].flatMap((client) =>
      Array.from({ length: STREAMS }, async () => {
        let size = 0
        for await (const { length } of client.pieces({ count: PIECES, size: PIECE })) {
          size += length
          await go.promise
        }
        return size
      }),
    )
    const uploads = [there, back].flatMap((client) =>
      Array.from({ length: STREAMS }, () => client.ingest(undefined, { upload: source() })),
    )
    await Promise.all(uploads)
    expect(sent).toBe(2 * STREAMS * PIECES)
    // All readers have stopped, and every producer stands before a full window.
    for (const client of [there, back]) {
      const large = new Uint8Array(WINDOW_BYTES)
      const calls = Array.from({ length: 20 }, () => client.anything(large))
      for (const answer of await Promise.all(calls)) expect(answer).toHaveLength(large.length)
      const leave = new AbortController()
      const left = failureOf(client.hold(1, { signal: leave.signal }))
      leave.abort()
      expect((await left).code).toBe('CANCELLED')
    }
    go.resolve()
    expect(await Promise.all(reads)).toEqual(Array(2 * STREAMS).fill(PIECES * PIECE))
  })
}
