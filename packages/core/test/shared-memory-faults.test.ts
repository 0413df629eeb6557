// Shared memory that is not as it should be: the other side breaks its rules, it can't be written, or it was never there.

import { execFileSync } from 'node:child_process'
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Flag, type Frame, FrameType } from '../src/frames.js'
import { PIECE_BYTES } from '../src/streams.js'
import { HALF_BYTES, openSharedFile, SharedMemory } from '../src/transports/shared-memory.js'
import { SocketLink } from '../src/transports/socket.js'
import { frameOf, nothing } from './hostile/village.js'
import {
  descriptorsOf,
  endAtFinish,
  KiB,
  MiB,
  openAgain,
  pieceOf,
  Receiver,
  SHARES_MEMORY,
  sendPiece,
} from './shared-memory-support.js'
import { createSocketLinks, createSocketPair } from './socket-pair.js'
import { until } from './support.js'

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
/** A piece is said to lie there. */
const beside = (arg: number, size: number | Buffer) =>
  frameOf(
    { ...nothing, type: FrameType.data, flags: Flag.bulk | Flag.raw | Flag.beside, arg },
    Buffer.isBuffer(size) ? size : u32(size),
  )
const room = (arg: number) => frameOf({ ...nothing, type: FrameType.room, arg })

describe.skipIf(!SHARES_MEMORY)('a side that breaks the rules of shared memory', () => {
  /** A primary's link, and the socket and the file that the other side has. */
  async function openHostile(limit?: number, onFrame?: (frame: Frame) => void) {
    const [near, far] = await createSocketPair()
    const file = openSharedFile() as number
    const stats = fstatSync(file)
    const link = new SocketLink(near, limit, new SharedMemory(file, 'primary'))
    const own = openAgain(file)
    const receiver = new Receiver(link, onFrame)
    far.on('error', () => {}).resume()
    onTestFinished(() => {
      link.destroy(new Error('the test is over'))
      far.destroy()
      closeSync(own)
      expect(descriptorsOf(stats)).toEqual([])
    })
    /** Grants all that there is, and is granted as much. */
    const joins = async () => {
      far.write(room(HALF_BYTES))
      await until(() => far.bytesRead > 0, 'it is granted something')
    }
    return { link, far, file: own, receiver, joins }
  }

  test.each([
    ['more than was granted', [beside(0, HALF_BYTES + 1)], /2097153 bytes are said to lie at 0/],
    [
      'more than was granted, together',
      [beside(0, 262_143), beside(262_143, HALF_BYTES - 262_142)],
      /1835010 bytes are said to lie at 262143 of shared memory; 1835009 of 2097152 are/,
    ],
    [
      'a place outside',
      [beside(HALF_BYTES, PIECE_BYTES)],
      /65536 bytes are said to lie at 2097152/,
    ],
    [
      'a place far outside',
      [beside(0xffff_ffff, PIECE_BYTES)],
      /65536 bytes are said to lie at 4294/,
    ],
    ['the largest size', [beside(0, 0xffff_ffff)], /body of 4294967295 bytes is said to be in/],
    ['less than anybody lays aside', [beside(0, 100)], /body of 100 bytes is said to be in/],
    ['no size', [beside(0, Buffer.alloc(0))], /has 0 bytes of its own, not 4/],
    ['half a size', [beside(0, Buffer.alloc(2))], /has 2 bytes of its own, not 4/],
    ['a body besides', [beside(0, Buffer.alloc(20_000))], /has 20000 bytes of its own, not 4/],
    ['room that is not there', [room(1)], /1 bytes of shared memory are granted, more than/],
    ['very much room', [room(0xffff_ffff)], /4294967295 bytes of shared memory are granted/],
  ])('%s', async (_name, frames, message) => {
    const { far, file, receiver, joins } = await openHostile()
    // All that is claimed is there.
    ftruncateSync(file, 2 * HALF_BYTES)
    await joins()
    far.write(Buffer.concat(frames))
    await receiver.hasBroken(message)
  })

  test.each([0, 1, 262_143])('%i bytes of room, less than streams wait for', async (bytes) => {
    const { far, receiver } = await openHostile()
    far.write(room(bytes))
    await receiver.hasBroken(/bytes of shared memory are granted, less than the 262144 that is/)
  })

  test('the same room, many times over in one go', async () => {
    const { far, file, receiver, joins } = await openHostile()
    ftruncateSync(file, 2 * HALF_BYTES)
    await joins()
    const pieces = HALF_BYTES / PIECE_BYTES
    far.write(Buffer.concat(Array.from({ length: 100 * pieces }, () => beside(0, PIECE_BYTES))))
    await receiver.hasBroken(/65536 bytes are said to lie at 0 of shared memory; 0 of 2097152/)
    // What it was granted is taken, and no more: room is granted anew at the end of a read.
    expect(receiver.pieces.length).toBe(pieces)
  })

  test('bytes that nobody has been granted yet', async () => {
    const { far, file, receiver } = await openHostile()
    ftruncateSync(file, 2 * HALF_BYTES)
    far.write(beside(0, PIECE_BYTES))
    await receiver.hasBroken(/65536 bytes are said to lie at 0 of shared memory; 0 of 2097152/)
  })

  test.each([
    ['empty', 0, 0],
    ['too short', HALF_BYTES + 50_000, 0],
    ['too short for what begins at its end', 2 * HALF_BYTES - 1, HALF_BYTES - 10],
  ])('a file that is %s', async (_name, size, at) => {
    const { far, file, receiver, joins } = await openHostile()
    await joins()
    ftruncateSync(file, size)
    far.write(beside(at, PIECE_BYTES))
    await receiver.hasBroken(/The shared memory was cut: \d+ of 65536 bytes are there/)
  })

  test('a file that is cut again and again: what this side writes harms nobody', async () => {
    const { link, far, file, receiver, joins } = await openHostile()
    await joins()
    for (let id = 0; id < 100; id++) {
      sendPiece(link, id, pieceOf(id))
      ftruncateSync(file, 0)
    }
    far.end()
    await until(() => receiver.ended, 'the link has ended')
    expect(receiver.reason).toBeUndefined()
  })

  test('a piece that is larger than a frame may be, and the next link goes on', async () => {
    const limit = 100 * KiB
    const [near, other] = await createSocketLinks(limit)
    endAtFinish(near, other)
    new Receiver(near)
    const arrived = new Receiver(other)
    const { far, file, receiver, joins } = await openHostile(limit, (frame) => near.forward(frame))
    ftruncateSync(file, 2 * HALF_BYTES)
    await joins()
    far.write(beside(0, limit))
    await receiver.hasBroken(
      /body of 102400 bytes is said to be in shared memory; allowed are 16384 to 102372/,
    )
    sendPiece(near, 0, pieceOf(0))
    await arrived.hasAll(1)
  })

  test.each([
    ['a piece', beside(0, 1)],
    ['room', room(1)],
  ])('%s, where there is no such memory', async (_name, frame) => {
    const [near, far] = await createSocketPair()
    far.on('error', () => {})
    onTestFinished(() => void far.destroy())
    const receiver = new Receiver(new SocketLink(near))
    far.write(frame)
    await receiver.hasBroken(/speaks of shared memory, and there is none/)
  })
})

describe.skipIf(!SHARES_MEMORY)('memory that can’t be written', () => {
  /** Sends pieces to a side that has granted all there is: they arrive. */
  async function sendOver(openFile: () => number): Promise<void> {
    const [near, far] = await createSocketPair()
    const link = new SocketLink(near, undefined, new SharedMemory(openFile(), 'primary'))
    const other = new SocketLink(far, undefined, new SharedMemory(openFile(), 'worker'))
    endAtFinish(link, other)
    const receivers = [new Receiver(link), new Receiver(other)]
    await until(() => near.bytesRead > 0 && far.bytesRead > 0, 'both sides have granted')
    for (let id = 0; id < 200; id++)
      for (const one of [link, other]) sendPiece(one, id, pieceOf(id))
    for (const receiver of receivers) await receiver.hasAll(200)
    expect(near.bytesWritten).toBeGreaterThan(4 * MiB)
  }

  test('a full file system: all goes by the socket, and one warning says so', async () => {
    const codes: unknown[] = []
    const note = (warning: Error & { code?: string }) => void codes.push(warning.code)
    process.on('warning', note)
    onTestFinished(() => void process.off('warning', note))
    await sendOver(() => openSync('/dev/full', 'r+'))
    expect(codes).toEqual(['CLUSTERWIRE_SHARED_MEMORY_FULL'])
  })

  test('a file that this process may not write', async () => {
    const file = openSharedFile() as number
    onTestFinished(() => closeSync(file))
    await sendOver(() => openSync(`/proc/self/fd/${file}`, 'r'))
  })
})

describe.skipIf(!SHARES_MEMORY)('the descriptor that a worker’s environment tells of', () => {
  const openAtFinish = (file: string, flags: string) => {
    const fd = openSync(file, flags)
    onTestFinished(() => closeSync(fd))
    return fd
  }

  test('the shared file', () => {
    const fd = openSharedFile() as number
    const memory = SharedMemory.inWorker(fd)
    expect(memory?.side).toBe('worker')
    memory?.close()
  })

  test.each([
    ['is not open', () => 1_000_000],
    ['is none', () => Number.NaN],
    ['is a device', () => openAtFinish('/dev/null', 'r+')],
    ['is a directory', () => openAtFinish(tmpdir(), 'r')],
    [
      'is a pipe',
      () => {
        const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
        onTestFinished(() => rmSync(folder, { recursive: true }))
        const pipe = path.join(folder, 'pipe')
        execFileSync('mkfifo', [pipe])
        return openAtFinish(pipe, 'r+')
      },
    ],
    [
      'is another file, which must not be written',
      () => {
        const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
        onTestFinished(() => rmSync(folder, { recursive: true }))
        return openAtFinish(path.join(folder, 'diary'), 'w+')
      },
    ],
  ])('%s', (_name, open) => {
    expect(SharedMemory.inWorker(open())).toBeUndefined()
  })

  test('is a socket', async () => {
    const [near, far] = await createSocketPair()
    onTestFinished(() => {
      near.destroy()
      far.destroy()
    })
    const { fd } = (far as unknown as { _handle: { fd: number } })._handle
    expect(fstatSync(fd).isSocket()).toBe(true)
    expect(SharedMemory.inWorker(fd)).toBeUndefined()
  })
})
