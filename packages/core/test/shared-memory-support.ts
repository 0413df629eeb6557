// What tests of shared memory have in common: links over it, pieces to send, and who receives them.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readdirSync, type Stats, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { ProtocolError } from '../src/errors.js'
import { Flag, type Frame, FrameType } from '../src/frames.js'
import { PIECE_BYTES } from '../src/streams.js'
import type { Link } from '../src/transport.js'
import { openSharedFile, SharedMemory } from '../src/transports/shared-memory.js'
import { SocketLink } from '../src/transports/socket.js'
import { nothing } from './hostile/village.js'
import { createSocketPair, handleOf } from './socket-pair.js'
import { type Failed, until } from './support.js'

/** Two links that share memory, as the primary's and a worker's do. */
export interface SharedLinks {
  readonly links: readonly [primary: SocketLink, worker: SocketLink]
  /** What they are over; without their handles when those were taken. */
  readonly sockets: readonly [Socket, Socket]
  /** The first one's descriptor of the file, and what the file is. */
  readonly fd: number
  readonly file: Pick<Stats, 'ino' | 'dev'>
}

/** Whether there is memory to be shared. */
export const SHARES_MEMORY: boolean = sharesMemory()

function sharesMemory(): boolean {
  const fd = openSharedFile()
  if (fd === undefined) return false
  closeSync(fd)
  return true
}

export interface SharedOptions {
  /** The largest frame. */
  readonly limit?: number | undefined
  /** As `createHandleLinks`. Default `false` */
  readonly overHandles?: boolean
}

/** Creates the two ends of a link whose large pieces lie in memory that both share. */
export async function createSharedLinks({
  limit,
  overHandles = false,
}: SharedOptions = {}): Promise<SharedLinks> {
  const sockets = await createSocketPair()
  const [near, far] = sockets
  if (near.connecting) await once(near, 'connect')
  const fd = openSharedFile() as number
  const file = fstatSync(fd)
  const link = (socket: Socket, memory: SharedMemory) =>
    new SocketLink(overHandles ? handleOf(socket) : socket, limit, memory)
  const primary = link(near, new SharedMemory(fd, 'primary'))
  const worker = link(far, new SharedMemory(openAgain(fd), 'worker'))
  return { links: [primary, worker], sockets, fd, file }
}

/** Another descriptor of a file that has no name. */
export function openAgain(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, 'r+')
}

/** This process's descriptors of a file. */
export function descriptorsOf({ ino, dev }: Pick<Stats, 'ino' | 'dev'>): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    const found = statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })
    return found?.ino === ino && found.dev === dev
  })
}

export const KiB: number = 1024
export const MiB: number = 1024 * KiB
/** Every piece is a part of these. */
const noise = randomBytes(256 * KiB)
/** Smaller than what is worth to be laid aside, as large, larger; and odd, so that halves end anywhere in a piece. */
const SIZES = [0, 1, 40_961, 16 * KiB - 1, 16 * KiB, PIECE_BYTES, 33_333, PIECE_BYTES - 1, 3]

/** The bytes of the piece with this number. */
export function pieceOf(id: number, size = SIZES[id % SIZES.length] as number): Buffer {
  const from = (id * 7_919) % (noise.length - size)
  return noise.subarray(from, from + size)
}

export function sendPiece(link: Link, id: number, bytes: Buffer): void {
  const flags = Flag.bulk | Flag.raw
  link.begin({ ...nothing, type: FrameType.data, flags, id }).whole(bytes, 0, bytes.length)
  link.commit()
}

/** What a link has brought, and how it has ended. */
export class Receiver {
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

export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

/** Has links end when the test is over. */
export function endAtFinish(...links: Link[]): void {
  onTestFinished(() => {
    for (const link of links) link.destroy(new Error('the test is over'))
  })
}

/** Both sides know what they may write: from now on, large pieces lie aside. */
export async function granted({ sockets: [near, far] }: SharedLinks): Promise<void> {
  await until(() => near.bytesRead > 0 && far.bytesRead > 0, 'both sides have granted')
}

/** Links that end with the test; nothing of their file stays open. */
export async function openShared(options: SharedOptions = {}): Promise<SharedLinks> {
  const shared = await createSharedLinks(options)
  onTestFinished(() => {
    for (const link of shared.links) link.destroy(new Error('the test is over'))
    expect(descriptorsOf(shared.file)).toEqual([])
  })
  return shared
}
