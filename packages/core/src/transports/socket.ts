// A link over a net.Socket: the private socketpair between the primary and one worker.

import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { ProtocolError } from '../errors.js'
import { Flag, type Frame, type FrameHead, FrameType } from '../frames.js'
import { PIECE_BYTES } from '../streams.js'
import type { Link, LinkEvents, Sender } from '../transport.js'
import type { ByteWriter } from './bytes.js'
import { FrameReader, READ_BYTES } from './frame-reader.js'
import type { FrameBuffer } from './framing.js'
import { Lanes } from './lanes.js'
import { ReadBudget } from './read-budget.js'
import { SharedFrame, type SharedMemory } from './shared-memory.js'

/** How much stream data is handed to the socket at once: what a small frame made meanwhile has to wait for. */
const BULK_BYTES = 64 * 1024

/**
 * How many small frames leave in a turn's first write. Fewer would cost a system call for little; more would let the other side, and its core
 * of the machine, wait while this one is still making frames. That one is busy then, and each further write of the turn may take more: with
 * 256 calls in flight, that is a tenth of their processor time. Measured in docs/performance.md.
 */
const BATCH_FRAMES = 16
const BATCH_GROWTH = 4
const MAX_BATCH_FRAMES = 256

/**
 * The same in bytes, for stream data that lies in shared memory and of which only the heads are to be written: one large piece makes a turn's
 * first write, and each further one may take twice as much, whatever made those before.
 */
const BATCH_BYTES = PIECE_BYTES
const BATCH_BYTES_GROWTH = 2
const MAX_BATCH_BYTES = 4 * PIECE_BYTES

/** A connection that has no socket yet: a descriptor, or the handle of one. */
export type OpenConnection = { readonly fd: number } | { readonly handle: object }

/**
 * A link over a socket. Frames that are made together leave together: whenever there are enough of them for a write, and the rest at the end
 * of the turn of the event loop, in `setImmediate`, when every socket that had something to say has been heard. What answers a read, and is
 * made while that is handled, leaves at its end: it need not wait for another turn.
 */
export class SocketLink implements Link {
  readonly #socket: Socket
  readonly #lanes: Lanes
  readonly #reader: FrameReader
  readonly #flush = () => {
    this.#scheduled = false
    this.#startAgain()
    this.flush()
  }
  readonly #onWritten = (error?: Error | null) => this.#written(error)
  /** Whether the socket hands over what it reads without a 'data' event. */
  readonly #readsItself: boolean
  #events: LinkEvents | undefined
  readonly #deliver = (frame: Frame) => {
    if (this.#ended) return
    if (frame.type === FrameType.room) this.#gain(frame.arg)
    else if (frame.type === FrameType.data && (frame.flags & Flag.beside) !== 0)
      this.#deliverShared(frame)
    else this.#events?.frame(frame)
  }
  /** Where large pieces of streams lie, and such a piece as it is handed on. */
  readonly #memory: SharedMemory | undefined
  readonly #piece: SharedFrame | undefined
  /** A flush is due. */
  #scheduled = false
  /** What a read has brought is being handled. */
  #reading = false
  /** Frames that have come since the last flush. */
  #batch = 0
  /** How many make a write, and how many bytes of stream data do, those in shared memory included. */
  #batchLimit = BATCH_FRAMES
  #byteLimit = BATCH_BYTES
  readonly #budget = new ReadBudget()
  /** The socket has not taken all of the last write, or takes nothing any more; what is made meanwhile waits here, where small frames can still overtake data. */
  #blocked = false
  /** Where the last write's bytes lie, as long as it is not done. */
  #leaving: FrameBuffer | undefined
  #closing = false
  #ended = false
  #reason: Error | undefined

  /**
   * @param source a socket, or what one can be made of: that is read into a single buffer, which saves an allocation with every read and
   *   a seventh of the processor time of a call
   * @param limit the largest frame that is sent or accepted, in bytes. Default 16 MiB
   * @param memory what both processes have in common, for large pieces of streams; closed when the link ends. Default: none
   */
  constructor(source: Socket | OpenConnection, limit?: number, memory?: SharedMemory) {
    this.#memory = memory
    this.#piece = memory && new SharedFrame(memory, limit)
    this.#lanes = new Lanes(limit, memory)
    this.#reader = new FrameReader(limit)
    this.#readsItself = !(source instanceof Socket)
    const socket = source instanceof Socket ? source : this.#open(source)
    this.#socket = socket
    // Always there: without it an EPIPE after a worker's death would end this process.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // The other side's death in other words; that is what `closed` tells.
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') this.#reason ??= error
    })
    socket.on('close', () => this.#end())
  }

  get queued(): number {
    return this.#blocked ? this.#lanes.size : 0
  }

  get congested(): boolean {
    return this.#lanes.congested
  }

  whenClear(sender: Sender): void {
    this.#lanes.whenClear(sender)
  }

  begin(head: FrameHead): ByteWriter {
    return this.#lanes.begin(head)
  }

  commit(): void {
    this.#lanes.commit()
    this.#schedule()
  }

  abandon(): void {
    this.#lanes.abandon()
  }

  forward(frame: Frame): void {
    this.#lanes.forward(frame)
    this.#schedule()
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#grant()
    if (this.#readsItself) this.#socket.resume()
    else
      this.#socket.on('data', (chunk) => {
        this.#read(() => this.#reader.push(chunk, this.#deliver))
        this.#pace(chunk.length, READ_BYTES)
      })
    if (this.#socket.destroyed) queueMicrotask(() => this.#end())
  }

  flush(done?: () => void, withData = false): void {
    this.#batch = 0
    if (this.#ended) return this.#lanes.drop()
    const { destroyed, readableEnded, writableEnded } = this.#socket
    // What waits was never handed over; `closed` is about to say so. (Whose other side has ended takes nothing any more, and does not say so.)
    if (destroyed || readableEnded || writableEnded) {
      this.#blocked = true
      return
    }
    if (done !== undefined) this.#lanes.whenOut(done, withData)
    while (!this.#blocked && this.#lanes.size > 0) {
      if (this.#lanes.swift.size > 0) this.#send(this.#lanes.swift)
      else this.#send(this.#lanes.bulk, BULK_BYTES)
    }
    this.#lanes.tellDepartures()
    this.#lanes.tellSenders()
    if (this.#closing && !this.#blocked) this.#socket.end()
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return resolve()
      this.#socket.once('close', () => resolve())
      this.#closing = true
      this.flush()
    })
  }

  destroy(reason: Error): void {
    this.#reason ??= reason
    this.#socket.destroy()
    this.#end()
  }

  /** What is made while a read is handled leaves at its end: nothing else will be made before the next one. */
  #read(take: () => void): void {
    this.#reading = true
    try {
      take()
    } catch (error) {
      this.destroy(this.#reader.blame(error))
    }
    this.#grant()
    this.#reading = false
    if (this.#scheduled) return
    this.#startAgain()
    if (this.#batch > 0) this.flush()
  }

  /** Lets the other sockets have their turn when a read, of `room` bytes at most, was enough for one. */
  #pace(bytes: number, room: number): void {
    if (!this.#budget.spend(bytes, room)) return
    this.#socket.pause()
    setImmediate(() => this.#socket.resume())
  }

  /** A piece's bytes are in shared memory until `frame` returns. */
  #deliverShared(frame: Frame): void {
    const memory = this.#shared()
    const piece = this.#piece as SharedFrame
    piece.become(frame)
    this.#budget.besides(piece.size)
    this.#events?.frame(piece)
    memory.giveBack(piece.size)
  }

  /** There is room in the memory again, which streams may be waiting for. */
  #gain(bytes: number): void {
    this.#shared().gain(bytes)
    this.#lanes.tellSenders()
  }

  #shared(): SharedMemory {
    if (this.#memory !== undefined) return this.#memory
    throw new ProtocolError('The other side speaks of shared memory, and there is none')
  }

  /**
   * Lets the other side write to shared memory again. Once for each read, and not to one that does not read itself: what it can claim in a turn, and
   * what waits for it here, is bounded so.
   */
  #grant(): void {
    const bytes = this.#blocked ? 0 : (this.#memory?.grant() ?? 0)
    if (bytes === 0) return
    this.begin({ type: FrameType.room, flags: 0, ref: 0, to: 0, from: 0, id: 0, arg: bytes })
    this.commit()
  }

  #open(connection: OpenConnection): Socket {
    const reader = this.#reader
    let count = 0
    const take = () => reader.took(count, this.#deliver)
    const onread: OnReadOpts = {
      buffer: () => reader.room(),
      callback: (bytes, room) => {
        count = bytes
        this.#read(take)
        this.#pace(bytes, room.length)
        return true
      },
    }
    // `onread` is documented for net.connect(), which passes its options on to this constructor; its types leave it out.
    const options = { ...connection, readable: true, writable: true, onread }
    return new Socket(options as SocketConstructorOpts).pause() // Until `start`.
  }

  #schedule(): void {
    if (this.#blocked) return
    if (!this.#scheduled && !this.#reading) {
      this.#scheduled = true
      setImmediate(this.#flush)
    }
    const { size, weight } = this.#lanes.bulk
    if (++this.#batch < this.#batchLimit && size < BATCH_BYTES && weight < this.#byteLimit) return
    this.#batchLimit = Math.min(this.#batchLimit * BATCH_GROWTH, MAX_BATCH_FRAMES)
    this.#byteLimit = Math.min(this.#byteLimit * BATCH_BYTES_GROWTH, MAX_BATCH_BYTES)
    this.flush()
  }

  /** The next write is a turn's first again. */
  #startAgain(): void {
    this.#batchLimit = BATCH_FRAMES
    this.#byteLimit = BATCH_BYTES
  }

  #send(lane: FrameBuffer, bytes?: number): void {
    this.#socket.write(lane.next(bytes), this.#onWritten)
    // After an error nothing more is handed over: 'close' follows.
    this.#blocked = this.#socket.writableLength > 0 || this.#socket.errored !== null
    if (this.#blocked) this.#leaving = lane
    else lane.release()
  }

  #written(error: Error | null | undefined): void {
    if (error) return // 'close' follows. What still waits must not go the same way.
    if (!this.#blocked || this.#socket.writableLength > 0) return
    this.#blocked = false
    this.#leaving?.release()
    // The other side may be waiting for that, and have nothing to send until then.
    this.#grant()
    this.flush()
  }

  #end(): void {
    this.#memory?.close()
    if (this.#ended || this.#events === undefined) return
    this.#ended = true
    this.#events.closed(this.#reason ?? this.#reader.truncation(), this.#lanes.frames())
    this.#lanes.drop()
    this.#blocked = false
  }
}
