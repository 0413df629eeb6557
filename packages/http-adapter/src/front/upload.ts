// A request's body on its way to a worker: whole with the request when it is small, else piece by piece as fast as the worker takes it.
// While it is small enough it is kept, so that another worker can get it too.

import type { IncomingMessage } from 'node:http'
import { type OutgoingExchange, PIECE_BYTES } from '@clusterwire/core/peer'
import { encodeBody, encodeTrailers } from '../wire.js'

/** Up to here a body is held back until it is complete, and kept until the response begins. */
const HELD_BYTES = PIECE_BYTES

/** Whether a request has a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

/** Whether its body is small, and certain to come. A client that waits for `100 Continue` sends none before the app has been asked. */
export function isSmall({ headers }: IncomingMessage): boolean {
  return Number(headers['content-length']) <= HELD_BYTES && headers.expect === undefined
}

/** Reads a small body; `done` gets it when it is complete, and not at all when the client goes away before. */
export function collect(req: IncomingMessage, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => done(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
}

/** How large a body may be, and what happens when it is larger. */
export interface UploadLimit {
  readonly bytes: number
  readonly exceeded: () => void
}

/** A body that is passed on as it comes. */
export class Upload {
  readonly #req: IncomingMessage
  readonly #limit: UploadLimit | undefined
  /** Where it goes; `undefined` while there is no worker, and when all of it is sent. */
  #exchange: OutgoingExchange | undefined
  /** All that has come so far; `undefined` when that has become too much to keep. */
  #held: Buffer[] | undefined = []
  #size = 0
  /** What waits for credit. */
  #backlog: Buffer[] = []
  #listening = false
  #complete = false

  constructor(req: IncomingMessage, limit: UploadLimit | undefined) {
    this.#req = req
    this.#limit = limit
  }

  /** Whether all that was sent can be sent again. */
  get repeatable(): boolean {
    return this.#held !== undefined
  }

  /** Sends everything to this worker, from the beginning on. */
  sendTo(exchange: OutgoingExchange): void {
    this.#exchange = exchange
    this.#backlog = [...(this.#held ?? [])]
    if (!this.#listening) this.#listen()
    this.#pump()
  }

  /** The worker is gone: the client has to wait until there is another. */
  detach(): void {
    this.#exchange = undefined
    this.#req.pause()
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
    this.#req.resume()
  }

  #listen(): void {
    this.#listening = true
    this.#req.on('data', (chunk: Buffer) => this.#take(chunk))
    this.#req.on('end', () => {
      this.#complete = true
      this.#pump()
    })
  }

  #take(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#limit !== undefined && this.#size > this.#limit.bytes) return this.#limit.exceeded()
    this.#keep(chunk)
    if (this.#exchange === undefined) return
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      this.#backlog.push(chunk.subarray(at, at + PIECE_BYTES))
    this.#pump()
  }

  #keep(chunk: Buffer): void {
    if (this.#size <= HELD_BYTES) this.#held?.push(chunk)
    else this.#held = undefined
  }

  #pump(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    while (this.#backlog.length > 0 && exchange.writable)
      exchange.write(encodeBody, this.#backlog.shift() as Buffer)
    if (!exchange.writable) this.#req.pause()
    else if (this.#complete) this.#finish(exchange)
    else this.#req.resume()
  }

  #finish(exchange: OutgoingExchange): void {
    const { rawTrailers } = this.#req
    if (rawTrailers.length > 0) exchange.write(encodeTrailers, rawTrailers)
    exchange.end()
    this.#exchange = undefined
  }
}
