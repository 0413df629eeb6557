// Rows C1, C4 and C16 of the fault matrix: a worker whose bytes are no protocol of ours, and one that has too many of them.

import { expect } from 'vitest'
import { fault } from '../support/fault.js'
import { play } from '../support/scene.js'

interface Malformed {
  readonly settled: {
    readonly lost: Record<string, number>
    readonly kept: Record<string, number>
    readonly echoed: Record<string, number>
  }
  readonly messages: readonly string[]
  readonly grown: number
  readonly recoveredMs: number
}

/** A frame's header: length, type, flags, ref, to, from, id, arg. */
function header(length: number, type: number, from: number): Buffer {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt32LE(length, 0)
  bytes[4] = type
  bytes.writeUInt32LE(from, 12)
  bytes[16] = 200
  return bytes
}

const text = Buffer.from('{"cmd":"NODE_HANDLE_ACK"}\n{"cmd":"NODE_HANDLE_ACK"}\n')
const noValue = Buffer.concat([header(28, 8, 1), Buffer.from([0xff, 0xfe, 0xfd, 0xff])])

/** Has worker 1 write bytes that are no frame to descriptor 4, and says what became of everybody's calls. */
async function write(bytes: Buffer) {
  const { seen, exits } = await play<Malformed>('malformed', { bytes: bytes.toString('hex') })
  const first = bytes.toString('hex', 0, 16)
  expect(seen.settled).toEqual({
    lost: { WORKER_LOST: 3 },
    kept: { CANCELLED: 1 },
    echoed: { answered: 10 },
  })
  for (const message of seen.messages) expect(message).toContain(first)
  const [exit, ...others] = exits
  expect(exit).toMatchObject({ number: 1, kind: 'link' })
  expect(exit?.reason).toMatch(/at byte \d+ of the link/)
  expect(exit?.reason).toContain(first)
  // The others ended when they were told to.
  expect(others.map(({ kind }) => kind)).toEqual(['told', 'told'])
  const settled = { WORKER_LOST: 3, answered: 10, CANCELLED: 1 }
  return { calls: 14, settled, recoveredMs: seen.recoveredMs, grown: seen.grown }
}

for (const [what, bytes] of [
  ['text', text],
  ['a frame of a type that does not exist', header(24, 99, 1)],
  ['a call whose body is no value', noValue],
] as const)
  fault('C1', `a worker writes ${what} to its link`, async (record) => {
    const { grown, ...seen } = await write(bytes)
    record({ ...seen, note: 'the primary lives, the worker is replaced' })
  })

fault('C4', 'a worker announces a frame of 1 GiB', async (record) => {
  const { grown, ...seen } = await write(header(0x4000_0000, 8, 1))
  expect(grown).toBeLessThan(2 * 1024 * 1024)
  record({ ...seen, note: 'refused on its header' })
})

/** What a publication of a small number is on the wire, with its topic's name. */
const BLIP_BYTES = 28 + 'channel.blip'.length + 1

fault('C16', 'a worker publishes a million values in a loop', async (record) => {
  const count = 1_000_000
  const { seen } = await play<{
    calls: number
    settled: Record<string, number>
    inOrder: boolean
    got: number
    mostInTurn: number
  }>('flood', { count })
  expect(seen).toMatchObject({ got: count, inOrder: true })
  // In one turn it gets at most 256 KiB, and what was read already when it was stopped: then it is everybody else's turn.
  expect(seen.mostInTurn * BLIP_BYTES).toBeLessThan(512 * 1024)
  expect(Object.keys(seen.settled)).toEqual(['answered'])
  expect(seen.calls).toBeGreaterThan(20)
  record({
    calls: seen.calls,
    settled: seen.settled,
    note: 'calls to another worker, one after the other, while the flood lasts',
  })
})
