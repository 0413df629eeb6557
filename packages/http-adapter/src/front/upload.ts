// A request's body on its way to a worker: whole with the request when it is small, else piece by piece as fast as the worker takes it.
// While it is small enough it is kept, so that another worker can get it too.

import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { type OutgoingExchange, PIECE_BYTES } from '@clusterwire/core/peer'
import { encodeTrailers } from '../wire.js'

/** Up to here a body is held back until it is complete, and kept until the response begins. */
const HELD_BYTES = PIECE_BYTES

/** What is held of one that waits, at the most: the chunk with which it becomes too much is held too, since it can't be asked for again. */
export const MOST_HELD_BYTES: number = HELD_BYTES + 64 * 1024

/** Where a body is read from. */
export interface Source extends Readable {
  /** Names and values in turn, complete when the body is. */
  readonly rawTrailers?: string[]
}

/** What comes behind a request's head: nothing; so little that it goes with the head; or more, which follows as the worker takes it. */
export type Content = 'none' | 'small' | 'stream'

/** Whether a request has a body, by its HTTP/1.1 headers. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

/** Whether its body is small, and certain to come. A client that waits for `100 Continue` sends none before the app has been asked. */
export function isSmall({ headers }: IncomingMessage): boolean {
  return Number(headers['content-length']) <= HELD_BYTES && headers.expect === undefined
}

/** How large a body may get. */
export interface BodyLimit {
  /** `undefined` for any number. */
  readonly bytes: number | undefined
  /** Called when more come. They go nowhere. */
  readonly exceeded: () => void
}

/** What waits for a worker: bytes, or the trailers that end a body in front of something else. */
type Item = Buffer | readonly string[]

/** Reads a small body; `done` gets it when it is complete, and not at all when the client goes away before. */
export function collect(source: Source, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  source.on('data', (chunk: Buffer) => chunks.push(chunk))
  source.on('end', () => done(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
}

/** A body that is passed on as it comes, and what an upgraded connection brings behind it. */
export class Upload {
  #source: Source
  /** What follows the source: `undefined` when nothing does, or when it is read already. */
  #behind: Source | undefined
  #limit: number
  readonly #exceeded: () => void
  /** Where it goes; `undefined` while there is no worker, and when all of it is sent. */
  #exchange: OutgoingExchange | undefined
  /** All that has come so far; `undefined` when that has become too much to keep. */
  #held: Item[] | undefined = []
  /** Bytes that have come. */
  #size = 0
  /** What waits for credit. */
  #backlog: Item[] = []
  #listening = false
  #complete = false

  /** @param behind what an upgraded connection brings when the body is complete; the limit is none of it */
  constructor(source: Source, { bytes, exceeded }: BodyLimit, behind?: Source) {
    this.#source = source
    this.#behind = behind
    this.#limit = bytes ?? Number.POSITIVE_INFINITY
    this.#exceeded = exceeded
  }

  /** Whether all that was sent can be sent again. */
  get repeatable(): boolean {
    return this.#held !== undefined
  }

  /** Sends everything to this worker, from the beginning on. */
  sendTo(exchange: OutgoingExchange): void {
    this.#exchange = exchange
    this.#backlog = [...(this.#held ?? [])]
    this.#listen()
    this.#pump()
  }

  /**
   * There is no worker yet: reads as much as is held anyway. Where nobody reads, nobody hears that the client is gone, and a worker would
   * be given what nobody waits for.
   */
  wait(): void {
    this.#listen()
    if (this.#size <= HELD_BYTES) this.#source.resume()
  }

  /** The response has begun: nothing will be sent again, so nothing has to be kept. */
  release(): void {
    this.#held = undefined
  }

  /** The worker is gone: the client has to wait until there is another. */
  detach(): void {
    this.#exchange = undefined
    this.#source.pause()
  }

  /** The worker takes more. */
  drain(): void {
    this.#pump()
  }

  /** The response is complete and nobody reads the rest: the client may be in the middle of sending it. */
  discard(): void {
    this.#exchange = undefined
    this.#held = undefined
    this.#backlog = []
    this.#source.resume()
  }

  #listen(): void {
    if (this.#listening) return
    this.#listening = true
    this.#read()
  }

  #read(): void {
    const source = this.#source
    // Nobody listened to a connection while the body ahead of it was read.
    if (source.readableEnded) return this.#ended()
    source.on('data', (chunk: Buffer) => this.#take(chunk))
    source.on('end', () => this.#ended())
  }

  #ended(): void {
    if (this.#behind === undefined) {
      this.#complete = true
      return this.#pump()
    }
    const trailers = this.#source.rawTrailers ?? []
    this.#held?.push(trailers)
    if (this.#exchange !== undefined) this.#backlog.push(trailers)
    this.#source = this.#behind
    this.#behind = undefined
    this.#limit = Number.POSITIVE_INFINITY
    this.#read()
    this.#pump()
  }

  #take(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size > this.#limit) return this.#exceeded()
    this.#keep(chunk)
    if (this.#exchange === undefined) return
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      this.#backlog.push(chunk.subarray(at, at + PIECE_BYTES))
    this.#pump()
  }

  #keep(chunk: Buffer): void {
    if (this.#held === undefined) return
    const fits = this.#size <= HELD_BYTES
    // What comes while there is no worker is held in any case: it can't be asked for again.
    if (fits || this.#exchange === undefined) this.#held.push(chunk)
    else this.#held = undefined
    if (!fits && this.#exchange === undefined) this.#source.pause()
  }

  #pump(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    while (this.#backlog.length > 0 && exchange.writable) {
      const next = this.#backlog.shift() as Item
      if (Buffer.isBuffer(next)) exchange.writeBytes(next)
      else exchange.write(encodeTrailers, next)
    }
    if (!exchange.writable) this.#source.pause()
    else if (this.#complete) this.#finish(exchange)
    else this.#source.resume()
  }

  #finish(exchange: OutgoingExchange): void {
    const { rawTrailers = [] } = this.#source
    if (rawTrailers.length > 0) exchange.write(encodeTrailers, rawTrailers)
    exchange.end()
    this.#exchange = undefined
  }
}
