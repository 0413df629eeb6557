// What apps do with Node's own request and response, behind the back of their framework: each framework's app has these routes too,
// through its own way out.
import { createReadStream } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { numbers } from './files.js'

/**
 * @typedef {IncomingMessage} Req
 * @typedef {ServerResponse} Res
 */

/**
 * Notes something among the events of a request, when somebody watches it.
 * @type {(req: any, what: string) => void}
 */
export const note = (req, what) => req[Symbol.for('log')]?.push(what)

const visits = Symbol('visits')
const BLOCK = Buffer.alloc(64 * 1024, 'x')

/** @type {(read: Promise<void>) => Promise<string>} */
const outcome = (read) =>
  read.then(
    () => 'fine',
    (error) => error.code ?? error.name,
  )

/** @type {Record<string, (req: Req & { [visits]?: number }, res: Res) => unknown>} */
export const rawRoutes = {
  '/raw/echo': (req, res) => outcome(pipeline(req, res)).then((end) => note(req, end)),

  '/raw/trailers': async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    res.writeHead(200, { Trailer: 'X-Length' })
    res.write(JSON.stringify(req.trailers))
    res.addTrailers({ 'X-Length': String(Buffer.concat(chunks).length) })
    res.end()
  },

  '/raw/hints': (_req, res) => {
    res.writeEarlyHints({ link: ['</a.css>; rel=preload', '</b.js>; rel=preload'] })
    res.writeProcessing()
    res.end('page')
  },

  '/raw/array': (_req, res) =>
    res
      .writeHead(201, 'Made', ['X-One', '1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'])
      .end('array'),

  '/raw/late': (_req, res) => {
    res.write('begun ')
    try {
      res.setHeader('X-Late', '1')
    } catch (error) {
      res.end(/** @type {{ code: string }} */ (error).code)
    }
  },

  // Writes until it is told to wait, 4 MiB in all, and says in the trailers what it has seen.
  '/raw/drain': async (_req, res) => {
    res.writeHead(200, { Trailer: 'X-Waits' })
    let waits = 0
    const before = res.writableNeedDrain
    let after = false
    for (let block = 0; block < 64; block++) {
      if (res.write(BLOCK)) continue
      waits++
      if (!res.writableNeedDrain) res.destroy()
      await new Promise((resolve) => res.once('drain', resolve))
      after ||= res.writableNeedDrain
    }
    res.addTrailers({ 'X-Waits': JSON.stringify({ before, after, some: waits > 0 }) })
    res.end()
  },

  '/raw/file': (req, res) => {
    res.setHeader('Content-Type', 'text/plain')
    return outcome(pipeline(createReadStream(numbers), res)).then((end) => note(req, end))
  },

  // The source fails in the middle: the client must see that the response is cut.
  '/raw/broken': (req, res) => {
    async function* source() {
      yield 'half of '
      await new Promise(setImmediate)
      throw Object.assign(new Error('no more'), { code: 'E_SOURCE' })
    }
    return outcome(pipeline(Readable.from(source()), res)).then((end) => note(req, end))
  },

  // Is still busy when the client goes away.
  '/raw/hold': (req, res) => {
    res.write('wait')
    const closed = outcome(finished(res))
    req.on('close', () => note(req, `aborted ${req.aborted}, destroyed ${req.destroyed}`))
    return closed.then((end) => note(req, `finished ${end}`))
  },

  // Reads a body of which the client sends only a part.
  '/raw/partial': (req, res) => {
    res.flushHeaders()
    const read = outcome(finished(req.resume()))
    return read.then((end) => note(req, `finished ${end}, complete ${req.complete}`))
  },

  '/raw/socket': (req, res) => {
    const { socket } = req
    const { remoteAddress, remoteFamily, localAddress, remotePort } = socket
    res.setHeader('Content-Type', 'application/json')
    res.end(
      JSON.stringify({
        ...{ remoteAddress, remoteFamily, localAddress, port: typeof remotePort },
        real: req instanceof IncomingMessage && res instanceof ServerResponse,
        encrypted: 'encrypted' in socket,
        headers: Object.entries(req.headers).filter(([name]) => name !== 'x-request-id'),
        chained: socket.setNoDelay().setKeepAlive(true).setTimeout(0) === socket,
        same: res.socket === socket && res.connection === socket,
        states: [socket.readable, socket.writable, socket.destroyed, socket.readyState],
      }),
    )
  },

  '/raw/visits': ({ socket }, res) => {
    const counted = /** @type {{ [visits]?: number }} */ (socket)
    counted[visits] = (counted[visits] ?? 0) + 1
    res.end(String(counted[visits]))
  },

  '/raw/timeout': (req, res) =>
    req.setTimeout(20, () => res.writeHead(408, { Connection: 'close' }).end('too slow')),

  '/raw/response-timeout': (_req, res) =>
    res.setTimeout(20, () => res.writeHead(503).end('too slow')),

  '/raw/twice': (req, res) => {
    res.end('once', () => note(req, 'end called back'))
    res.end('twice')
    res.on('error', (error) => note(req, /** @type {{ code?: string }} */ (error).code ?? ''))
    res.write('more')
  },
}
