// Memory that both ends of a link share: what lies there arrives as if the socket had carried it, whatever the other side does to it.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ProtocolError } from '../src/errors.js'
import { sendBare } from '../src/exchange.js'
import { Flag, type Frame, FrameType } from '../src/frames.js'
import { PIECE_BYTES } from '../src/streams.js'
import type { Link } from '../src/transport.js'
import { HALF_BYTES, openSharedFile, SharedMemory } from '../src/transports/shared-memory.js'
import { SocketLink } from '../src/transports/socket.js'
import { frameOf, nothing } from './hostile/village.js'
import {
  createSharedLinks,
  createSocketLinks,
  createSocketPair,
  descriptorsOf,
  openAgain,
  SHARES_MEMORY,
  type SharedLinks,
} from './socket-pair.js'
import { type Failed, until } from './support.js'

const KiB = 1024
const MiB = 1024 * KiB
/** Every piece is a part of these. */
const noise = randomBytes(256 * KiB)
/** Smaller than what is worth to be laid aside, as large, larger; and odd, so that halves end anywhere in a piece. */
const SIZES = [0, 1, 40_961, 16 * KiB - 1, 16 * KiB, PIECE_BYTES, 33_333, PIECE_BYTES - 1, 3]

/** The bytes of the piece with this number. */
function pieceOf(id: number, size = SIZES[id % SIZES.length] as number): Buffer {
  const from = (id * 7_919) % (noise.length - size)
  return noise.subarray(from, from + size)
}

function sendPiece(link: Link, id: number, bytes: Buffer): void {
  const flags = Flag.bulk | Flag.raw
  link.begin({ ...nothing, type: FrameType.data, flags, id }).whole(bytes, 0, bytes.length)
  link.commit()
}

/** What a link has brought, and how it has ended. */
class Receiver {
  /** The numbers of the pieces, and of the small frames. */
  readonly pieces: number[] = []
  readonly small: number[] = []
  /** What was kept of each piece. */
  readonly kept: Buffer[] = []
  ended = false
  reason: Failed | undefined

  constructor(link: Link, onFrame: (frame: Frame) => void = () => {}) {
    link.start({
      frame: (frame) => {
        if (frame.type === FrameType.data) {
          this.pieces.push(frame.id)
          this.kept.push(frame.keep(frame.body))
        } else this.small.push(frame.id)
        onFrame(frame)
      },
      closed: (reason) => {
        this.ended = true
        this.reason = reason as Failed | undefined
      },
    })
  }

  /** Pieces 0 to `count` - 1 have come, in order, and each is what was sent. */
  async hasAll(count: number, size?: number): Promise<void> {
    await until(() => this.pieces.length >= count || this.ended, 'all pieces have come')
    expect(this.reason).toBeUndefined()
    expect(this.pieces).toEqual(numbers(count))
    const wrong = this.kept.filter((bytes, id) => !bytes.equals(pieceOf(id, size)))
    expect(wrong.length).toBe(0)
  }

  async hasBroken(message: RegExp): Promise<void> {
    await until(() => this.ended, 'the link has ended')
    expect(this.reason).toBeInstanceOf(ProtocolError)
    expect(this.reason?.code).toBe('PROTOCOL_ERROR')
    expect(this.reason?.message).toMatch(message)
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Has links end when the test is over. */
function endAtFinish(...links: Link[]): void {
  onTestFinished(() => {
    for (const link of links) link.destroy(new Error('the test is over'))
  })
}

/** Both sides know what they may write: from now on, large pieces lie aside. */
async function granted({ sockets: [near, far] }: SharedLinks): Promise<void> {
  await until(() => near.bytesRead > 0 && far.bytesRead > 0, 'both sides have granted')
}

/** Links that end with the test; nothing of their file stays open. */
async function openShared(overHandles = false): Promise<SharedLinks> {
  const shared = await createSharedLinks({ overHandles })
  onTestFinished(() => {
    for (const link of shared.links) link.destroy(new Error('the test is over'))
    expect(descriptorsOf(shared.file)).toEqual([])
  })
  return shared
}

describe.skipIf(!SHARES_MEMORY)('links that share memory', () => {
  test.each([
    ['sockets', false],
    ['handles', true],
  ])(
    'over %s: pieces of all sizes go both ways at once, whole and in order, round and round',
    async (_name, overHandles) => {
      const shared = await openShared(overHandles)
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
          says: () => frame.bytes.readUInt32LE(frame.start) === end - frame.start - 4,
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
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    const receiver = new Receiver(far)
    await granted(shared)
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
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    const receiver = new Receiver(far)
    await granted(shared)
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

  test('a link that is destroyed closes the file, and what is read later is no other file', async () => {
    const shared = await openShared()
    const [near, far] = shared.links
    new Receiver(near)
    let late: Frame | undefined
    const receiver = new Receiver(far, (frame) => {
      late = frame
    })
    await granted(shared)
    sendPiece(near, 0, pieceOf(0, PIECE_BYTES))
    await receiver.hasAll(1, PIECE_BYTES)
    far.destroy(new Error('enough'))
    // The number is free now.
    const other = openSync(process.execPath, 'r')
    onTestFinished(() => closeSync(other))
    expect(() => late?.keep(late.body)).toThrow(ProtocolError)
    await until(() => descriptorsOf(shared.file).length === 0, 'the other side has closed it, too')
    // What is sent now is dropped.
    sendPiece(far, 1, pieceOf(1, PIECE_BYTES))
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
    ['a place outside', [beside(HALF_BYTES, 1)], /1 bytes are said to lie at 2097152/],
    ['a place far outside', [beside(0xffff_ffff, 0)], /0 bytes are said to lie at 4294967295/],
    ['the largest size', [beside(0, 0xffff_ffff)], /has 4294967295 bytes in shared memory/],
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

  test('bytes that nobody has been granted yet', async () => {
    const { far, file, receiver } = await openHostile()
    ftruncateSync(file, 2 * HALF_BYTES)
    far.write(beside(0, 1))
    await receiver.hasBroken(/1 bytes are said to lie at 0 of shared memory; 0 of 2097152/)
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
      /A frame has 102400 bytes in shared memory; with its header it may have 102400/,
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
