// A link over a net.Socket: the private socketpair between the primary and one worker.

import { Socket, type SocketConstructorOpts } from 'node:net'
import type { Frame, FrameHead } from '../frames.js'
import type { Link, LinkEvents } from '../transport.js'
import type { ByteWriter } from './bytes.js'
import { FrameReader } from './frame-reader.js'
import type { FrameBuffer } from './framing.js'
import { Lanes } from './lanes.js'

/** How much stream data is handed to the socket at once: what a small frame made meanwhile has to wait for. */
const BULK_BYTES = 128 * 1024

/** What a read takes in at once. Node's own sockets read as much. */
const READ_BYTES = 64 * 1024

/**
 * How much one socket may say in one turn of the event loop. Node alone goes on for 2 MiB as long as there is more, and every other link waits: 50 000
 * small frames, a tenth of a second.
 */
const TURN_BYTES = 256 * 1024

/**
 * How many small frames leave in one write. Fewer would cost a system call for little; more would let the other side, and its core of the
 * machine, wait while this one is still making frames. Measured in docs/performance.md.
 */
const BATCH_FRAMES = 16

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
    this.flush()
  }
  readonly #onWritten = () => this.#written()
  /** Whether the socket hands over what it reads without a 'data' event. */
  readonly #readsItself: boolean
  #read: (chunk: Buffer) => void = () => {}
  #events: LinkEvents | undefined
  /** A flush is due. */
  #scheduled = false
  /** What a read has brought is being handled. */
  #reading = false
  /** Frames that have come since the last flush. */
  #batch = 0
  /** Bytes of full reads, one right after the other. */
  #taken = 0
  /** The socket has not taken all of the last write; what is made meanwhile waits here, where small frames can still overtake data. */
  #blocked = false
  /** To be told when nothing waits, neither here nor in the socket. */
  readonly #onDone: (() => void)[] = []
  #closing = false
  #ended = false
  #reason: Error | undefined

  /**
   * @param source a socket, or the descriptor of one that is open: that one is read into a single buffer, which saves an allocation with
   *   every read and a seventh of the processor time of a call
   * @param limit the largest frame that is sent or accepted, in bytes. Default 16 MiB
   */
  constructor(source: Socket | number, limit?: number) {
    const socket = typeof source === 'number' ? this.#open(source) : source
    this.#readsItself = typeof source === 'number'
    this.#socket = socket
    this.#lanes = new Lanes(limit)
    this.#reader = new FrameReader(limit)
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
    const deliver = (frame: Frame) => {
      if (!this.#ended) events.frame(frame)
    }
    this.#read = (chunk) => {
      this.#reading = true
      try {
        this.#reader.push(chunk, deliver)
      } catch (error) {
        this.destroy(this.#reader.blame(error))
      }
      this.#reading = false
      if (this.#batch > 0 && !this.#scheduled) this.flush()
      // A read that is not full has taken all there was: this turn's last.
      if (chunk.length < READ_BYTES) this.#taken = 0
      else this.#pace()
    }
    if (this.#readsItself) this.#socket.resume()
    else this.#socket.on('data', this.#read)
    if (this.#socket.destroyed) queueMicrotask(() => this.#end())
  }

  flush(done?: () => void): void {
    this.#batch = 0
    if (done !== undefined) this.#onDone.push(done)
    if (this.#ended || this.#socket.writableEnded) return this.#lanes.drop()
    if (this.#socket.destroyed) return // What waits was never handed over; `closed` is about to say so.
    while (!this.#blocked && this.#lanes.size > 0) {
      if (this.#lanes.swift.size > 0) this.#writeAll(this.#lanes.swift)
      else this.#writeSome(this.#lanes.bulk)
    }
    if (this.#blocked) return
    for (const tell of this.#onDone.splice(0)) tell()
    if (this.#closing) this.#socket.end()
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

  /** Lets the other sockets have their turn after so many bytes. */
  #pace(): void {
    this.#taken += READ_BYTES
    if (this.#taken < TURN_BYTES) return
    this.#taken = 0
    this.#socket.pause()
    setImmediate(() => this.#socket.resume())
  }

  #open(fd: number): Socket {
    const callback = (bytes: number, buffer: Uint8Array) => {
      this.#read((buffer as Buffer).subarray(0, bytes))
      return true
    }
    const onread = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback }
    // Documented for net.connect(), which passes its options on to this constructor; its types leave it out.
    return new Socket({ fd, readable: true, writable: true, onread } as SocketConstructorOpts)
  }

  #schedule(): void {
    if (this.#blocked) return
    if (++this.#batch >= BATCH_FRAMES) return this.flush()
    if (this.#scheduled || this.#reading) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  #writeAll(lane: FrameBuffer): void {
    this.#write(lane.take())
    // The socket still reads from this buffer.
    if (this.#blocked) lane.renew()
  }

  #writeSome(lane: FrameBuffer): void {
    if (lane.size <= BULK_BYTES) return this.#writeAll(lane)
    lane.compact()
    this.#write(lane.takeSome(BULK_BYTES))
  }

  #write(bytes: Buffer): void {
    this.#socket.write(bytes, this.#onWritten)
    this.#blocked = this.#socket.writableLength > 0
  }

  #written(): void {
    if (!this.#blocked || this.#socket.writableLength > 0) return
    this.#blocked = false
    this.flush()
  }

  #end(): void {
    if (this.#ended || this.#events === undefined) return
    this.#ended = true
    this.#events.closed(this.#reason ?? this.#reader.truncation(), this.#lanes.frames())
    this.#lanes.drop()
  }
}
