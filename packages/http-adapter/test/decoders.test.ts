// What reads bytes that may be cut anywhere: cut everywhere.
import { describe, expect, it } from 'vitest'
import { ResponseDecoder } from '../src/front/response-decoder.js'
import { WebSocketFrames } from '../src/worker/websocket-frames.js'

/** Reads a response in pieces of so many bytes. */
function decode(response: string, size: number, isHead = false) {
  const seen: { status?: number; headers?: readonly string[]; trailers?: readonly string[] } = {}
  let body = ''
  const decoder = new ResponseDecoder(
    {
      onHead: (status, headers) => Object.assign(seen, { status, headers }),
      onBody: (bytes) => {
        body += bytes.toString('latin1')
      },
      onTrailers: (trailers) => Object.assign(seen, { trailers }),
    },
    isHead,
  )
  const bytes = Buffer.from(response, 'latin1')
  for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size))
  return { ...seen, body, complete: decoder.complete }
}

const OK = 'HTTP/1.1 200 OK\r\n'
const responses: Record<string, [response: string, expected: object]> = {
  chunked: [
    `${OK}X-A:  1 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\nA\r\n\r\ntwo\r\n345\r\n0\r\n\r\n`,
    {
      headers: ['x-a', '1', 'transfer-encoding', 'chunked'],
      body: 'one\r\ntwo\r\n345',
      complete: true,
    },
  ],
  'chunked, with trailers': [
    `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n`,
    { body: 'x', trailers: ['x-sum', '1', 'x-b', '2'], complete: true },
  ],
  'chunked, cut': [
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`,
    { body: 'hel', complete: false },
  ],
  counted: [`${OK}Content-Length: 5\r\n\r\nhello`, { body: 'hello', complete: true }],
  'counted, cut': [`${OK}Content-Length: 5\r\n\r\nhel`, { body: 'hel', complete: false }],
  'counted, with more than that': [
    `${OK}Content-Length: 2\r\n\r\nhello`,
    { body: 'he', complete: true },
  ],
  'neither: to the end': [`${OK}\r\nhello`, { body: 'hello', complete: true }],
  'a status without a body': [
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    { status: 304, body: '', complete: true },
  ],
  'a head that is cut': [OK, { complete: false }],
}

describe('a response, however it is cut', () => {
  it.each(Object.entries(responses))('%s', (_name, [response, expected]) => {
    for (let size = 1; size <= response.length; size++)
      expect(decode(response, size)).toMatchObject(expected)
  })

  it('an answer to HEAD has no body, whatever it says', () => {
    expect(decode(`${OK}Content-Length: 5\r\n\r\n`, 7, true)).toMatchObject({ complete: true })
  })

  it.each([
    ['no status', 'HELLO WORLD\r\n\r\n'],
    ['a header without a name', `${OK}: x\r\n\r\n`],
    ['a length that is none', `${OK}Content-Length: x\r\n\r\n`],
    ['a chunk without a size', `${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ['lines without end', OK + 'x'.repeat(2_000_000)],
  ])('what is none is refused: %s', (_name, response) => {
    expect(() => decode(response, 100_000)).toThrow(/^A response /)
  })
})

const SWITCHED = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n')
const frames = [
  Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]),
  Buffer.concat([Buffer.from([0x82, 126, 0x01, 0x00]), Buffer.alloc(256, 0x88)]),
  Buffer.concat([Buffer.from([0x01, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(65_536)]),
  Buffer.concat([Buffer.from([0x80, 0x83, 1, 2, 3, 4]), Buffer.alloc(3)]),
  Buffer.from([0x89, 0]),
]

describe('WebSocket frames, however they are written', () => {
  it.each([1, 2, 3, 5, 7, 64, 1000, 100_000])(
    'in pieces of %i bytes: only between two of them',
    (size) => {
      const followed = new WebSocketFrames()
      const bytes = Buffer.concat([SWITCHED, ...frames])
      const ends = new Set<number>()
      let end = SWITCHED.length
      ends.add(end)
      for (const frame of frames) {
        end += frame.length
        ends.add(end)
      }
      for (let at = 0; at < bytes.length; at += size) {
        followed.take(bytes.subarray(at, at + size), 'latin1')
        expect(followed.between).toBe(ends.has(Math.min(at + size, bytes.length)))
      }
    },
  )

  it('strings count as the bytes that they become', () => {
    const followed = new WebSocketFrames()
    followed.take(SWITCHED.toString(), 'utf8')
    expect(followed.between).toBe(true)
    followed.take(Buffer.from([0x81, 6]), 'utf8')
    followed.take('grü', 'utf8')
    expect(followed.between).toBe(false)
    followed.take('ß', 'utf8')
    expect(followed.between).toBe(true)
  })

  it('nothing follows a close, or a handshake that was refused', () => {
    const closed = new WebSocketFrames()
    closed.take(Buffer.concat([SWITCHED, Buffer.from([0x88, 2, 3, 0xe8])]), 'latin1')
    expect(closed.between).toBe(false)
    const refused = new WebSocketFrames()
    refused.take('HTTP/1.1 401 Unauthorized\r\n\r\n', 'latin1')
    expect(refused.between).toBe(false)
  })
})
