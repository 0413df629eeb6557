// Memory that both ends of a link share: what lies there arrives as if the socket had carried it.

import { closeSync, fstatSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FrameTooLargeError, ProtocolError } from '../src/errors.js'
import { sendBare } from '../src/exchange.js'
import { Flag, type Frame, FrameType } from '../src/frames.js'
import { PIECE_BYTES } from '../src/streams.js'
import type { Link } from '../src/transport.js'
import { HALF_BYTES, openSharedFile, SharedMemory } from '../src/transports/shared-memory.js'
import { SocketLink } from '../src/transports/socket.js'
import { frameOf, nothing } from './hostile/village.js'
import {
  descriptorsOf,
  endAtFinish,
  granted,
  KiB,
  MiB,
  numbers,
  openShared,
  pieceOf,
  Receiver,
  SHARES_MEMORY,
  type SharedOptions,
  sendPiece,
} from './shared-memory-support.js'
import { createSocketLinks, createSocketPair } from './socket-pair.js'
import { until } from './support.js'

/** Opens an empty file that has this number, which is free. */
function openAs(number: number): number {
  for (;;) {
    const fd = openSharedFile() as number
    onTestFinished(() => closeSync(fd))
    if (fd >= number) return fd
  }
}

/** Links that have granted all there is, and what the far one receives. */
async function openReceived(options?: SharedOptions) {
  const shared = await openShared(options)
  const [near, far] = shared.links
  new Receiver(near)
  const receiver = new Receiver(far)
  await granted(shared)
  return { shared, near, far, receiver }
}

/** Sends pieces until streams are to wait. Returns how many. */
function fill(link: Link): number {
  for (let id = 0; ; id++) {
    if (link.congested) return id
    sendPiece(link, id, pieceOf(id, PIECE_BYTES))
  }
}

describe.skipIf(!SHARES_MEMORY)('links that share memory', () => {
  test.each([
    ['sockets', false],
    ['handles', true],
  ])(
    'over %s: pieces of all sizes go both ways at once, whole and in order, round and round',
    async (_name, overHandles) => {
      const shared = await openShared({ overHandles })
      const COUNT = 500
      const IN_FLIGHT = 20
      const wrong: string[] = []
      const look = (frame: Frame) => {
        if (frame.type !== FrameType.data) return
        const { id, body, end, type, flags } = frame
        const want = pieceOf(id)
        const inside = Math.floor(want.length / 3)
        const target = Buffer.alloc(want.length - inside)
        const ways = {
          keepsThePart: () => frame.keep(body + inside).equals(want.subarray(inside)),
          copies: () => {
            frame.copy(target, body + inside)
            return target.equals(want.subarray(inside))
          },
          shows: () => frame.bytes.subarray(body, end).equals(want),
          showsAgain: () => frame.bytes.subarray(body, end).equals(want),
          isWhatWasSent: () => type === FrameType.data && flags === (Flag.bulk | Flag.raw),
          hasItsSize: () => end - body === want.length && end - frame.start === want.length + 28,
          hasItsHead: () =>
            frame.bytes
              .subarray(frame.start, body)
              .equals(
                frameOf({ ...nothing, type, flags, id }, want).subarray(0, body - frame.start),
              ),
        }
        for (const [way, holds] of Object.entries(ways)) if (!holds()) wrong.push(`${id}: ${way}`)
      }
      const receivers: Receiver[] = []
      const sent = [0, 0]
      /** As a stream under credit. */
      const goOn = (side: number) => {
        const link = shared.links[side] as Link
        const come = receivers[1 - side]?.pieces.length ?? 0
        while ((sent[side] as number) < Math.min(COUNT, come + IN_FLIGHT)) {
          const id = (sent[side] as number)++
          sendPiece(link, id, pieceOf(id))
          sendBare(link, { ...nothing, type: FrameType.open, id })
        }
      }
      for (const side of [0, 1])
        receivers[side] = new Receiver(shared.links[side] as Link, (frame) => {
          look(frame)
          goOn(1 - side)
        })
      for (const side of [0, 1]) goOn(side)
      for (const receiver of receivers) {
        await receiver.hasAll(COUNT)
        await until(() => receiver.small.length === COUNT, 'all small frames have come')
        expect(receiver.small).toEqual(numbers(COUNT))
      }
      expect(wrong).toEqual([])
      // To the end of the second half.
      expect(fstatSync(shared.fd).size).toBe(2 * HALF_BYTES)
    },
  )

  test('the socket carries little more than where large pieces lie', async () => {
    const { shared, near, receiver } = await openReceived()
    for (let id = 0; id < 16; id++) sendPiece(near, id, pieceOf(id, PIECE_BYTES))
    await receiver.hasAll(16, PIECE_BYTES)
    expect(shared.sockets[0].bytesWritten).toBeLessThan(2 * KiB)
    expect(shared.sockets[1].bytesRead).toBeLessThan(2 * KiB)
  })

  test('so does a link of which one side has no such memory, with the bytes', async () => {
    const [near, far] = await createSocketPair()
    const file = openSharedFile() as number
    const link = new SocketLink(near, undefined, new SharedMemory(file, 'primary'))
    const other = new SocketLink(far)
    endAtFinish(link, other)
    const receivers = [new Receiver(link), new Receiver(other)]
    for (let id = 0; id < 16; id++)
      for (const one of [link, other]) sendPiece(one, id, pieceOf(id, PIECE_BYTES))
    for (const receiver of receivers) await receiver.hasAll(16, PIECE_BYTES)
    expect(near.bytesWritten).toBeGreaterThan(MiB)
    expect(far.bytesWritten).toBeGreaterThan(MiB)
    expect(fstatSync(file).size).toBe(0)
  })

  test('small pieces take the socket; a large one leaves at once', async () => {
    const { shared, near, receiver } = await openReceived()
    for (let id = 0; id < 5; id++) sendPiece(near, id, pieceOf(id, 16 * KiB - 1))
    await receiver.hasAll(5, 16 * KiB - 1)
    expect(fstatSync(shared.fd).size).toBe(0)
    const before = shared.sockets[0].bytesWritten
    sendPiece(near, 5, pieceOf(5, PIECE_BYTES))
    expect(fstatSync(shared.fd).size).toBe(PIECE_BYTES)
    expect(shared.sockets[0].bytesWritten).toBeGreaterThan(before)
    await until(() => receiver.pieces.length === 6, 'it has come')
  })

  test('a piece that is larger than a frame may be is refused, and the next one is not', async () => {
    const { near, receiver } = await openReceived({ limit: 50 * KiB })
    expect(() => sendPiece(near, 7, pieceOf(7, PIECE_BYTES))).toThrow(FrameTooLargeError)
    near.abandon()
    sendPiece(near, 0, pieceOf(0, 20 * KiB))
    await receiver.hasAll(1, 20 * KiB)
  })

  test('nothing is written there before the other side says that it can read', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    for (let id = 0; id < 64; id++) sendPiece(near, id, pieceOf(id))
    expect(fstatSync(shared.fd).size).toBe(0)
    const receiver = new Receiver(far)
    await granted(shared)
    for (let id = 64; id < 128; id++) sendPiece(near, id, pieceOf(id))
    expect(fstatSync(shared.fd).size).toBeGreaterThan(0)
    await receiver.hasAll(128)
  })

  test('to a side that does not read, what has no room there takes the socket, and keeps its place', async () => {
    const { shared, near, receiver } = await openReceived()
    shared.sockets[1].pause()
    const COUNT = 400
    for (let id = 0; id < COUNT; id++) sendPiece(near, id, pieceOf(id))
    expect(near.queued).toBeGreaterThan(MiB)
    expect(fstatSync(shared.fd).size).toBeLessThanOrEqual(HALF_BYTES)
    shared.sockets[1].resume()
    await receiver.hasAll(COUNT)
    // And then there is room again.
    const before = shared.sockets[0].bytesWritten
    sendPiece(near, COUNT, pieceOf(COUNT, PIECE_BYTES))
    await until(() => receiver.pieces.length > COUNT, 'one more has come')
    expect(receiver.kept.at(-1)?.equals(pieceOf(COUNT, PIECE_BYTES))).toBe(true)
    expect(shared.sockets[0].bytesWritten - before).toBeLessThan(KiB)
  })

  test('streams wait while there is hardly any room, and the socket is not burdened', async () => {
    const { shared, near, receiver } = await openReceived()
    shared.sockets[1].pause()
    const before = shared.sockets[0].bytesWritten
    const count = fill(near)
    const waiting = ['first', 'second']
    const gone: string[] = []
    for (const name of waiting) near.whenClear({ cleared: () => void gone.push(name) })
    await new Promise(setImmediate)
    expect(gone).toEqual([])
    shared.sockets[1].resume()
    await until(() => gone.length === waiting.length, 'those who wait go on')
    expect(gone).toEqual(waiting)
    await receiver.hasAll(count, PIECE_BYTES)
    expect(shared.sockets[0].bytesWritten - before).toBeLessThan(4 * KiB)
  })

  test('who waits for room goes on although others write all the time', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    let count = 0
    let gone = false
    // As a router does, which holds back nothing that it passes on.
    const more = () => sendPiece(near, count, pieceOf(count++, PIECE_BYTES))
    const receiver = new Receiver(far, (frame) => {
      if (frame.type === FrameType.data && !gone) more()
    })
    await granted(shared)
    while (!near.congested) more()
    near.whenClear({
      cleared: () => {
        gone = true
      },
    })
    await until(() => gone, 'who waits goes on')
    await receiver.hasAll(count, PIECE_BYTES)
  })

  test('a side that was not read for a while grants what it has read meanwhile, with nothing new to read', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    const back = new Receiver(near)
    const receiver = new Receiver(far)
    await granted(shared)
    shared.sockets[0].pause()
    const SMALL = 100_000
    for (let id = 0; id < SMALL; id++) sendBare(far, { ...nothing, type: FrameType.started, id })
    await until(() => far.queued > 0, 'the far side is not read')
    const count = fill(near)
    await receiver.hasAll(count, PIECE_BYTES)
    let gone = false
    near.whenClear({
      cleared: () => {
        gone = true
      },
    })
    await new Promise(setImmediate)
    expect(gone).toBe(false)
    shared.sockets[0].resume()
    await until(() => back.small.length === SMALL, 'all has come')
    await until(() => gone, 'and room with it')
  })

  test.each([
    ['shares memory, too', true],
    ['shares none', false],
  ])('a frame is passed on to a link that %s', async (_name, shares) => {
    const first = await openShared()
    const second = shares ? await openShared() : undefined
    const [near, far] = second?.links ?? (await createSocketLinks())
    endAtFinish(near, far)
    const arrived = new Receiver(far)
    new Receiver(near)
    if (second !== undefined) await granted(second)
    new Receiver(first.links[1])
    const passing = new Receiver(first.links[0], (frame) => near.forward(frame))
    await granted(first)
    for (let id = 0; id < 200; id++) sendPiece(first.links[1], id, pieceOf(id))
    await passing.hasAll(200)
    await arrived.hasAll(200)
    if (second !== undefined) expect(fstatSync(second.fd).size).toBeGreaterThan(0)
  })

  test('a link that is closed hands over what lies there first, and both ends close the file', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    const sender = new Receiver(near)
    const receiver = new Receiver(far)
    await granted(shared)
    expect(descriptorsOf(shared.file).length).toBe(2)
    for (let id = 0; id < 100; id++) sendPiece(near, id, pieceOf(id))
    await near.close()
    await receiver.hasAll(100)
    await until(() => sender.ended && receiver.ended, 'both sides have ended')
    expect(sender.reason).toBeUndefined()
    expect(descriptorsOf(shared.file)).toEqual([])
  })

  test('a link that is destroyed closes the file, and touches no other file that gets its number', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    let late: Frame | undefined
    const receiver = new Receiver(near, (frame) => {
      late = frame
    })
    new Receiver(far)
    await granted(shared)
    sendPiece(far, 0, pieceOf(0, PIECE_BYTES))
    await receiver.hasAll(1, PIECE_BYTES)
    near.destroy(new Error('enough'))
    const heir = openAs(shared.fd)
    expect(heir).toBe(shared.fd)
    expect(() => late?.keep(late.body)).toThrow(ProtocolError)
    sendPiece(near, 1, pieceOf(1, PIECE_BYTES))
    expect(fstatSync(heir).size).toBe(0)
    await until(() => descriptorsOf(shared.file).length === 0, 'the other side has closed it, too')
  })

  test('a frame that is looked at while the link ends can’t be read any more', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    let failure: unknown
    const receiver = new Receiver(far, (frame) => {
      far.destroy(new Error('enough'))
      try {
        frame.copy(Buffer.alloc(PIECE_BYTES), frame.body)
      } catch (error) {
        failure = error
      }
    })
    await granted(shared)
    for (const id of [0, 1]) sendPiece(near, id, pieceOf(id, PIECE_BYTES))
    await until(() => receiver.ended, 'it has ended')
    expect(failure).toBeInstanceOf(ProtocolError)
    expect([receiver.reason?.message, receiver.pieces]).toEqual(['enough', [0]])
  })
})
