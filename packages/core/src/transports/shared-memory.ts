// Memory that the primary shares with one worker, for large pieces of streams: their frames travel on the socket, and say where the bytes lie.
//
// It is a file of tmpfs that has no name: one side writes to it, the other reads from it, and what lies in between is the page cache. That takes a
// fifth of the processor time that a socket takes for the same bytes (docs/performance.md). Nothing is mapped: who cuts the file short, or writes what
// he likes, can do no more harm by that than by his socket.
//
// Each side writes to a half of its own, round and round. What it may write is granted by the other side, and granted again when that has read it, as a
// stream's window is; so nothing is overwritten that has not been read, and to a side that can't read the file nothing is ever written.

import { closeSync, constants, fstatSync, openSync, readSync, statfsSync, writeSync } from 'node:fs'
import { ProtocolError } from '../errors.js'
import { Flag, type Frame, HEADER_BYTES, LENGTH_BYTES, MAX_FRAME_BYTES } from '../frames.js'
import { PIECE_BYTES } from '../streams.js'
import { settleAllocator } from './allocator.js'
import { putU32, u32At } from './bytes.js'
import { ARG_AT, type Aside, FLAGS_AT, SIZE_BYTES, WORTH_IT_BYTES } from './framing.js'

/** Where Linux has memory as a file system, and what `statfs` says of one. */
const DIRECTORY = '/dev/shm'
const TMPFS_MAGIC = 0x0102_1994

/** Makes a file that never has a name, and is gone with its last descriptor (open(2): O_TMPFILE, for which Node has no constant). */
const O_TMPFILE = 0o20_000_000 | constants.O_DIRECTORY

/**
 * What each side may write before the other has read any of it: four streams' windows; more does not stay in a processor's cache. Pages that nothing was
 * written to take no memory.
 */
export const HALF_BYTES: number = 2 * 1024 * 1024

/** As much has to have been read before it is granted again. */
const GRANT_BYTES = HALF_BYTES / 8

/** With less room than this, streams wait. A grant brings as much, so with each of them at least one stream goes on. */
const CROWDED_BYTES = GRANT_BYTES

/** Which of the two a process is. The worker is the first to grant, as it may have been started without the file. */
export type Side = 'primary' | 'worker'

/** Makes the file; returns its descriptor, or undefined where there is no such memory: links do without it. */
export function openSharedFile(): number | undefined {
  try {
    if (statfsSync(DIRECTORY).type !== TMPFS_MAGIC) return undefined
    return openSync(DIRECTORY, O_TMPFILE | constants.O_RDWR, 0o600)
  } catch {
    return undefined // Not Linux; not allowed; no descriptor left.
  }
}

/** A part of a half, which may go round its end. */
interface Place {
  readonly at: number
  readonly size: number
}

/** One side's end of it. */
export class SharedMemory implements Aside {
  readonly side: Side
  readonly #fd: number
  /** Where the half begins that this side writes, and the one that it reads. */
  readonly #ours: number
  readonly #theirs: number
  /** Bytes that this side may write, and where in its half the next one goes. */
  #room = 0
  #at = 0
  #hasGained = false
  /** Bytes that the other side may write, and those that have been read and not been granted again. */
  #granted = 0
  #read = 0
  #hasGranted = false
  #closed = false

  /** @param fd an open file, which is this object's from now on */
  constructor(fd: number, side: Side) {
    this.#fd = fd
    this.side = side
    this.#ours = side === 'primary' ? 0 : HALF_BYTES
    this.#theirs = HALF_BYTES - this.#ours
  }

  /**
   * A worker's end. Undefined when it was started without the file that its environment tells of. A file that has a name is another one, whose
   * owner has got the number meanwhile.
   */
  static inWorker(fd: number): SharedMemory | undefined {
    try {
      const file = fstatSync(fd)
      return file.isFile() && file.nlink === 0 ? new SharedMemory(fd, 'worker') : undefined
    } catch {
      return undefined
    }
  }

  /** Writes a part of `bytes`. Returns where it lies then; -1 when it could not be written, and is to go by the socket. Never throws. */
  put(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start
    if (size > this.#room) return -1
    settleAllocator()
    const at = this.#at
    const first = Math.min(size, HALF_BYTES - at)
    if (!this.#write(bytes, start, { at, size: first })) return -1
    if (first < size && !this.#write(bytes, start + first, { at: 0, size: size - first })) return -1
    this.#at = (at + size) % HALF_BYTES
    this.#room -= size
    return at
  }

  /** Whether streams are to wait. Not before the other side has said that it has this memory, nor when it can't be written any more. */
  get crowded(): boolean {
    return this.#hasGained && this.#room >= 0 && this.#room < CROWDED_BYTES
  }

  /** This side may write so many bytes more. @throws ProtocolError when there are not so many, or it is less than is granted at a time */
  gain(bytes: number): void {
    this.#hasGained = true
    this.#room += bytes
    if (this.#room > HALF_BYTES)
      throw new ProtocolError(`${bytes} bytes of shared memory are granted, more than there are`)
    // Streams count on it: what is granted lets at least one of them go on.
    if (bytes < GRANT_BYTES)
      throw new ProtocolError(
        `${bytes} bytes of shared memory are granted, less than the ${GRANT_BYTES} that is the least`,
      )
  }

  /**
   * What is to be granted now: everything at first, by the primary when the worker has, then what has been read, when enough of that has come
   * together. It counts as granted from now on, so the other side is to be told before anything else of it is handled: it can't have made use of it already.
   */
  grant(): number {
    if (this.#hasGranted ? this.#read < GRANT_BYTES : !this.#mayBegin) return 0
    const bytes = this.#hasGranted ? this.#read : HALF_BYTES
    this.#hasGranted = true
    this.#read = 0
    this.#granted += bytes
    return bytes
  }

  /** The other side has written so much there. @throws ProtocolError when it was not granted that */
  claim(at: number, size: number): void {
    if (at >= HALF_BYTES || size > this.#granted)
      throw new ProtocolError(
        `${size} bytes are said to lie at ${at} of shared memory; ${this.#granted} of ${HALF_BYTES} are granted`,
      )
    this.#granted -= size
  }

  /** Reads what was claimed. @throws ProtocolError when it is not there */
  read(target: Uint8Array, to: number, { at, size }: Place): void {
    if (this.#closed) throw new ProtocolError('The link whose memory is to be read has ended')
    settleAllocator()
    const first = Math.min(size, HALF_BYTES - at)
    let count = readSync(this.#fd, target, to, first, this.#theirs + at)
    if (first < size) count += readSync(this.#fd, target, to + first, size - first, this.#theirs)
    if (count < size)
      throw new ProtocolError(`The shared memory was cut: ${count} of ${size} bytes are there`)
  }

  /** So much of what was claimed is not needed any more. */
  giveBack(size: number): void {
    this.#read += size
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#room = Number.NEGATIVE_INFINITY // Nothing is written any more, and nobody waits for it.
    closeSync(this.#fd)
  }

  /** The worker says first that it has the memory: it may have been started without it. */
  get #mayBegin(): boolean {
    return this.side === 'worker' || this.#hasGained
  }

  /** Writes to this side's half. If that fails, for want of memory or by a limit (`ulimit -f`), everything goes by the socket from now on. */
  #write(bytes: Uint8Array, from: number, { at, size }: Place): boolean {
    let code = 'ENOSPC'
    try {
      if (writeSync(this.#fd, bytes, from, size, this.#ours + at) === size) return true
    } catch (error) {
      code = String((error as NodeJS.ErrnoException).code)
    }
    this.#room = Number.NEGATIVE_INFINITY
    warnOfNoMemory(code)
    return false
  }
}

let hasWarned = false

function warnOfNoMemory(code: string): void {
  if (hasWarned) return
  hasWarned = true
  process.emitWarning(
    `${DIRECTORY} takes no more (${code}): large pieces of streams go by sockets, which takes more processor time. Each worker may use ${(2 * HALF_BYTES) >> 20} MiB of it (docker run --shm-size)`,
    { type: 'ClusterwireWarning', code: 'CLUSTERWIRE_SHARED_MEMORY_FULL' },
  )
}

const NOTHING = Buffer.alloc(0)

/** Room for a large piece of a stream. */
const USUAL_BYTES = HEADER_BYTES + PIECE_BYTES

/**
 * A frame whose body lies in shared memory. It is read from there when somebody asks for it, to where he wants it. One object serves all of a
 * link's, as with other frames.
 */
export class SharedFrame implements Frame {
  type = 0
  flags = 0
  ref = 0
  to = 0
  from = 0
  id = 0
  readonly arg = 0
  readonly start = 0
  readonly body: number = HEADER_BYTES
  end = 0
  readonly owned = false
  readonly #memory: SharedMemory
  readonly #limit: number
  /** Where its body lies. */
  #at = 0
  readonly #head: Buffer = Buffer.alloc(HEADER_BYTES)
  /** Where it is read to for those who look at `bytes`, and whether it has been. */
  #room: Buffer = NOTHING
  #isRead = false

  /** @param limit bytes of the largest frame. Default 16 MiB */
  constructor(memory: SharedMemory, limit: number = MAX_FRAME_BYTES) {
    this.#memory = memory
    this.#limit = limit
  }

  /** Becomes the frame that another one, from the socket, tells of. @throws ProtocolError when it tells of nothing that could be */
  become(frame: Frame): void {
    const { bytes, start, body, end, arg } = frame
    if (end - body !== SIZE_BYTES)
      throw new ProtocolError(
        `A frame whose body is in shared memory has ${end - body} bytes of its own, not ${SIZE_BYTES}`,
      )
    const size = u32At(bytes, body)
    if (size < WORTH_IT_BYTES || HEADER_BYTES + size > this.#limit)
      throw new ProtocolError(
        `A frame's body of ${size} bytes is said to be in shared memory; allowed are ${WORTH_IT_BYTES} to ${this.#limit - HEADER_BYTES}`,
      )
    this.#memory.claim(arg, size)
    this.type = frame.type
    this.flags = frame.flags & ~Flag.beside
    this.ref = frame.ref
    this.to = frame.to
    this.from = frame.from
    this.id = frame.id
    this.end = HEADER_BYTES + size
    this.#at = arg
    this.#isRead = false
    // A single giant must not leave a giant buffer behind for good.
    if (this.#room.length > USUAL_BYTES) this.#room = NOTHING
    bytes.copy(this.#head, 0, start, body)
  }

  /** Bytes of its body. */
  get size(): number {
    return this.end - HEADER_BYTES
  }

  get bytes(): Buffer {
    if (this.#isRead) return this.#room
    if (this.#room.length < this.end)
      this.#room = Buffer.allocUnsafeSlow(Math.max(this.end, USUAL_BYTES))
    const room = this.#room
    this.#head.copy(room)
    putU32(room, 0, this.end - LENGTH_BYTES)
    room[FLAGS_AT] = this.flags
    putU32(room, ARG_AT, 0)
    this.#memory.read(room, HEADER_BYTES, { at: this.#at, size: this.size })
    this.#isRead = true
    return room
  }

  copy(target: Uint8Array, start: number): void {
    const skipped = start - HEADER_BYTES
    const at = (this.#at + skipped) % HALF_BYTES
    this.#memory.read(target, 0, { at, size: this.size - skipped })
  }

  keep(start: number): Buffer {
    const kept = Buffer.allocUnsafeSlow(this.end - start)
    this.copy(kept, start)
    return kept
  }
}
