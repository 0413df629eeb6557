// The rows of the fault matrix that a single hostile member shows.

import { describe, expect, test } from 'vitest'
import { Flag, FrameType } from '../../src/frames.js'
import { ByteWriter } from '../../src/transports/bytes.js'
import { encodeValue } from '../../src/transports/codec.js'
import { lab } from '../fixtures/lab.js'
import { failureOf, until } from '../support.js'
import {
  ada,
  frameOf,
  NONSENSE,
  nothing,
  type Transport,
  VILLAIN,
  Village,
  Villain,
} from './village.js'

/** The body of a call that comes with this metadata. */
function withMeta(meta: unknown): Buffer {
  const [encoded, input] = [meta, ada].map((value) => {
    const out = new ByteWriter()
    encodeValue(out, value)
    return out.buffer.subarray(0, out.position)
  }) as [Buffer, Buffer]
  const head = Buffer.alloc(5)
  head.writeUInt32LE(encoded.length, 1)
  return Buffer.concat([head, encoded, input])
}

/** Bytes of a worker that are wrong, in a place of their own each. */
const malformed: readonly ((from: number) => Buffer)[] = [
  () => Buffer.from('{"cmd":"NODE_HANDLE_ACK"}\n'.repeat(3)),
  (from) => frameOf({ ...nothing, type: 99, from, id: 1 }, ada),
  () => Buffer.alloc(28),
  (from) => frameOf({ ...nothing, type: FrameType.open, from, id: 2 }, NONSENSE),
  () => frameOf({ ...nothing, type: FrameType.open, from: 1, id: 1e6 }, ada),
]

export function describeRows(transport: Transport): void {
  describe('rows of the fault matrix', () => {
    test('C1: a malformed frame ends its link with the offset and the first 16 bytes; its calls are WORKER_LOST, and no others', async () => {
      const village = await Village.found(transport)
      for (const [n, make] of malformed.entries()) {
        const villain = await Villain.join(village, VILLAIN + n)
        const leave = new AbortController()
        const [lost, kept] = [villain.number, 1].map((to) =>
          failureOf(village.primary.client(lab, { to }).hold(1, { signal: leave.signal })),
        )
        await villain.asked(0)
        const bytes = make(villain.number)
        const first = bytes.toString('hex', 0, 16)
        const offset = villain.sent
        villain.raw(bytes)
        await villain.isThrownOut()
        expect(villain.reason).toMatchObject({ offset, bytes: first })
        expect(villain.reason?.message).toContain(`at byte ${offset} of the link`)
        expect(villain.reason?.message).toContain(first)
        const error = await lost
        expect(error).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
        expect(error?.message).toContain(first)
        expect(village.primary.pending).toBe(1)
        leave.abort()
        expect((await kept)?.code).toBe('CANCELLED')
      }
    })

    test('__proto__ in the metadata of a call ends its link', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const meta = Object.fromEntries([['__proto__', 'polluted']])
      villain.send({ type: FrameType.open, id: 1, flags: Flag.meta }, withMeta(meta))
      await villain.isThrownOut()
      expect(villain.reason?.message).toContain('__proto__')
    })

    test('C12: a second answer is dropped and counted, and the first stands', async () => {
      const village = await Village.found(transport)
      const villain = await Villain.join(village)
      const { counters } = village.primary
      const call = village.primary.client(lab, { to: VILLAIN }).hold(1)
      const id = await villain.asked(0)
      villain.send({ type: FrameType.reply, id }, 'first')
      villain.send({ type: FrameType.reply, id }, 'second')
      villain.send({ type: FrameType.error, id }, { code: 'HANDLER_ERROR', message: 'third' })
      expect(await call).toBe('first')
      await until(() => counters.late === 2, 'the others are counted')
      await villain.isStillServed()
      villain.end()
    })

    test('C13: the first answer to an id that was never asked ends its link: stricter than to count it', async () => {
      const village = await Village.found(transport)
      for (const [n, type] of [FrameType.reply, FrameType.error, FrameType.data].entries()) {
        const villain = await Villain.join(village, VILLAIN + n)
        const call = failureOf(village.primary.client(lab, { to: villain.number }).hold(1))
        villain.send({ type, id: (await villain.asked(0)) + 1_000 }, 'forged')
        await villain.isThrownOut()
        expect(await call).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
      }
      expect(village.primary.counters.late).toBe(0)
    })
  })
}
