// Clients over sockets: those that attack, and one that behaves and looks closely at what it gets.

import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Attack } from './hostile.js'
import { type RawResponse, ResponseReader } from './responses.js'

/** Milliseconds that an attacker waits for an answer that may never come. */
const PATIENCE = 150

/** Carries out an attack; resolves with all that came back when the connection is closed. */
export async function carryOut(port: number, one: Attack): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: one.ending === 'end' })
  const received = collect(socket)
  const ends = [...one.cuts, one.sent]
  let at = 0
  for (const end of ends) {
    if (at > 0 && one.gap > 0) await pause(one.gap)
    socket.write(one.bytes.subarray(at, end))
    at = end
  }
  if (one.ending === 'end') socket.end()
  else {
    if (one.ending === 'wait') await Promise.race([received, pause(PATIENCE)])
    if (one.ending === 'wait') socket.end()
    else socket.write('', () => socket.resetAndDestroy())
  }
  return received
}

/** Sends all of an attack at once; resolves with all that came back when the server closes the connection. */
export async function sendWhole(port: number, { bytes }: Attack): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const received = collect(socket)
  socket.once('end', () => socket.end())
  socket.write(bytes)
  return received
}

/** Sends all of an attack at once and its end; resolves when the connection is closed. */
export async function sendAndEnd(port: number, { bytes }: Attack): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.end(bytes)
  await collect(socket)
}

function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve(Buffer.concat(chunks))))
}

/** A client that keeps its connection, and sends a request only when the last one is answered. */
export class SteadyClient {
  readonly #socket: Socket
  readonly #reader = new ResponseReader()
  #failed: Error | undefined
  #wake: () => void = () => {}

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    const fail = (error: Error) => {
      this.#failed ??= error
      this.#wake()
    }
    this.#socket.on('error', fail).on('close', () => fail(new Error('the connection was closed')))
    this.#socket.on('data', (bytes) => {
      try {
        this.#reader.take(bytes)
        this.#wake()
      } catch (error) {
        fail(error as Error)
      }
    })
  }

  /** Asks; rejects when anything else comes than one response, or the connection is closed. */
  async ask(method: string, path: string, body = ''): Promise<RawResponse> {
    const { responses } = this.#reader
    const length =
      body === ''
        ? ''
        : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nHost: a\r\n${length}\r\n${body}`)
    while (this.#failed === undefined && responses.length === 0)
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    if (this.#failed !== undefined) throw this.#failed
    const response = responses.shift() as RawResponse
    if (responses.length > 0 || this.#reader.rest !== '')
      throw new Error('there was more than one answer')
    return response
  }

  close(): void {
    this.#socket.destroy()
  }
}
