// What the apps answer with, whatever their framework.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'

export const GREETING = { hello: 'world', umlaut: 'ü', list: [1, 2, 3] }
export const SECRET = 'a secret that is at least thirty-two characters long'
export const LIMIT = 100 * 1024
export const UPLOAD_LIMIT = 32 * 1024 * 1024

/** @type {(bytes: Buffer | Uint8Array) => string} */
export const sum = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** Text that compresses well, line by line. */
export function* lines(count = 2000) {
  for (let i = 0; i < count; i++) yield `line ${i} of ${count}\n`
}

export const lineStream = () => Readable.from(lines())

/** The events of an event stream. */
export const EVENTS = [0, 1, 2].map((id) => ({ id: String(id), event: 'tick', data: `tick ${id}` }))

/** @param {{ id: string, event: string, data: string }} event */
export const eventText = ({ id, event, data }) => `event: ${event}\ndata: ${data}\nid: ${id}\n\n`

/** An error that says how it wants to be answered. */
export const teapot = () =>
  Object.assign(new Error('I am a teapot'), { status: 418, statusCode: 418 })
