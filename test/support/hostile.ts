// Requests of clients that mean harm, or do not know better: made from a seed, each with its number in it.

import type { Random } from './random.js'

/** What a hostile client does on one connection. */
export interface Attack {
  readonly id: string
  readonly kind: string
  /** Whether ordinary requests come before it, in the same bytes. */
  readonly behind: boolean
  /** All of it, as it would be if the client did not give up in the middle. */
  readonly bytes: Buffer
  /** How many of them it sends. */
  readonly sent: number
  /** Where its packets begin, besides the first one's. */
  readonly cuts: readonly number[]
  /** Milliseconds between packets. */
  readonly gap: number
  /** What it does when all is sent: waits for an answer, ends its side, or resets the connection. */
  readonly ending: 'wait' | 'end' | 'reset'
}

/** The path of an attack, and all that its requests may need. */
interface Target {
  readonly path: string
  readonly id: string
  readonly random: Random
}

type Make = (target: Target) => string

const CRLF = '\r\n'

/** Lines of a head, and what follows it. */
const message = (lines: readonly string[], body = ''): string =>
  [...lines, '', ''].join(CRLF) + body

const get = ({ path }: Target, ...headers: string[]) =>
  message([`GET ${path} HTTP/1.1`, 'Host: a', ...headers])

const post = ({ path }: Target, headers: readonly string[], body: string) =>
  message([`POST ${path} HTTP/1.1`, 'Host: a', ...headers], body)

/** A request that would be one if what is before it were read otherwise than it should. */
const smuggled = ({ path }: Target) => `GET ${path}/smuggled HTTP/1.1${CRLF}Host: b${CRLF}${CRLF}`

const chunked = 'Transfer-Encoding: chunked'

const oneOf =
  (values: readonly string[], make: (target: Target, value: string) => string): Make =>
  (target) =>
    make(target, target.random.pick(values))

const noise = (random: Random, length: number) =>
  String.fromCharCode(...Array.from({ length }, () => random.below(256)))

/** All kinds. */
export const kinds: Readonly<Record<string, Make>> = {
  'length and chunks': (target) =>
    post(target, ['Content-Length: 6', chunked], `0${CRLF}${CRLF}${smuggled(target)}`),
  'chunks and length': (target) =>
    post(target, [chunked, 'Content-Length: 4'], `5c${CRLF}${smuggled(target)}0${CRLF}${CRLF}`),
  'odd transfer encoding': oneOf(
    [
      'Transfer-Encoding: xchunked',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: identity, chunked',
      'Transfer-Encoding: gzip, chunked',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding:\tchunked',
      'Transfer-Encoding:\u000bchunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
      'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: "chunked"',
      'Transfer-Encoding:\r\n chunked',
      'Transfer-Encoding: CHUNKED',
      'Transfer-Encoding: ',
      'X: y\rTransfer-Encoding: chunked',
      'X: y\nTransfer-Encoding: chunked',
      'Transfer_Encoding: chunked',
    ],
    (target, line) => post(target, [line], `5${CRLF}hello${CRLF}0${CRLF}${CRLF}`),
  ),
  'odd transfer encoding and a length': oneOf(
    ['identity', 'xchunked', 'chunked, identity', 'CHUNKED', 'chunk'],
    (target, value) =>
      post(
        target,
        [`Transfer-Encoding: ${value}`, 'Content-Length: 5'],
        `0${CRLF}${CRLF}${smuggled(target)}`,
      ),
  ),
  'odd length': oneOf(
    [
      '+5',
      '-1',
      '5, 5',
      '5, 6',
      '0x5',
      '5.0',
      '1e1',
      '99999999999999999999',
      '',
      ' 5 ',
      '5 5',
      '５',
    ],
    (target, value) => post(target, [`Content-Length: ${value}`], `hello${smuggled(target)}`),
  ),
  'two lengths': oneOf(['5', '6', '0'], (target, second) =>
    post(target, ['Content-Length: 5', `Content-Length: ${second}`], `hello${smuggled(target)}`),
  ),
  'odd chunk size': oneOf(
    [
      'zz',
      '-1',
      '+5',
      '0x5',
      '5 ',
      ' 5',
      '5;a=b',
      '5;a="\n"',
      '5;a=\rb',
      '5\n',
      '',
      'FFFFFFFFFFFFFFFFF',
      '00000000000000005',
      '5;'.padEnd(20_000, 'x'),
    ],
    (target, size) =>
      post(target, [chunked], `${size}${CRLF}hello${CRLF}0${CRLF}${CRLF}${smuggled(target)}`),
  ),
  'chunk without its end': oneOf(['', '\n', '\r', 'xx', '\r\r'], (target, end) =>
    post(target, [chunked], `5${CRLF}hello${end}0${CRLF}${CRLF}${smuggled(target)}`),
  ),
  'odd trailers': oneOf(
    ['Content-Length: 5', chunked, 'Host: b', 'no colon', ': x', 'A : b', ' folded', 'A: \0'],
    (target, trailer) =>
      post(target, [chunked], `5${CRLF}hello${CRLF}0${CRLF}${trailer}${CRLF}${CRLF}`),
  ),
  'folded header': oneOf([' ', '\t'], (target, fold) => get(target, `X-A: a${CRLF}${fold}b`)),
  'bare line feeds': (target) => get(target, 'X-A: a').replaceAll(CRLF, '\n'),
  'one bare line feed': (target) => {
    const lines = get(target, 'X-A: a', 'X-B: b').split(CRLF)
    const at = target.random.below(lines.length - 1)
    return lines.map((line, i) => line + (i === at ? '\n' : CRLF)).join('')
  },
  'bare carriage return': (target) => get(target, 'X-A: a').replaceAll(CRLF, '\r'),
  'odd header': oneOf(
    [
      'no colon',
      ': nameless',
      'A : b',
      ' A: b',
      'A\0: b',
      'A: \0',
      'A: a\u0001b',
      'A: \u00ff\u0080',
      'Ä: b',
      'A(b): c',
      'A: b\rC: d',
      'Connection: close, Host, X-Id',
      'Connection: upgrade',
      'Host: b',
      'Content-Length: 0\r\nContent-Length: 0',
      '__proto__: x',
      'Keep-Alive: timeout=999999',
      'X-Request-Id: \t',
      'Forwarded: for="_a;by=\\"',
    ],
    (target, line) => get(target, line),
  ),
  'no host': ({ path }) => message([`GET ${path} HTTP/1.1`]),
  'huge header': (target) =>
    get(target, `X-A: ${'a'.repeat(15_000 + target.random.below(20_000))}`),
  'huge header name': (target) => get(target, `${'a'.repeat(20_000)}: b`),
  'many headers': (target) =>
    get(target, ...Array.from({ length: 100 + target.random.below(4_000) }, (_, n) => `A${n}: b`)),
  'huge URL': ({ path, random }) =>
    message([`GET ${path}/${'u'.repeat(15_000 + random.below(20_000))} HTTP/1.1`, 'Host: a']),
  'odd method': oneOf(
    [
      'G@T',
      'get',
      'FOOBAR',
      '',
      ' ',
      'GETGETGET',
      'PRI',
      'M-SEARCH',
      'PURGE',
      'QUERY',
      'G\0T',
      'SOURCE',
    ],
    ({ path }, method) => message([`${method} ${path} HTTP/1.1`, 'Host: a']),
  ),
  'odd version': oneOf(
    [
      'HTTP/1.2',
      'HTTP/2.0',
      'HTTP/0.9',
      'HTTPS/1.1',
      'http/1.1',
      'HTTP/1.1 x',
      'HTTP/11',
      '',
      'HTTP/1.',
    ],
    ({ path }, version) => message([`GET ${path} ${version}`, 'Host: a']),
  ),
  'odd target': oneOf(
    [
      'http://b#',
      '*',
      '//b',
      'b:80',
      '/ /',
      '/\u0000',
      '/\u00e4',
      '/../..',
      'ftp://',
      '/a\tb',
      '?',
      '#',
      '\\',
    ],
    ({ path, id }, target) =>
      message([`GET ${target}${target === '*' ? '' : path} HTTP/1.1`, 'Host: a', `X-Id: ${id}`]),
  ),
  'absolute target': ({ path }) => message([`GET http://b:80${path} HTTP/1.1`, 'Host: a']),
  'OPTIONS *': ({ id }) => message(['OPTIONS * HTTP/1.1', 'Host: a', `X-Id: ${id}`]),
  CONNECT: ({ id, random }) =>
    message(['CONNECT b:443 HTTP/1.1', 'Host: b', `X-Id: ${id}`], noise(random, 50)),
  'HTTP/2 preface': ({ random }) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${noise(random, 60)}`,
  'TLS hello': ({ random }) => `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${noise(random, 200)}`,
  noise: ({ random }) => noise(random, 1 + random.below(500)),
  'blank lines': (target) => '\r\n'.repeat(target.random.below(5)) + get(target),
  'blank before': (target) => target.random.pick([' ', '\n', '\r', '\0']) + get(target),
  upgrade: (target) =>
    get(
      target,
      `Upgrade: ${target.random.pick(['websocket', 'h2c', 'x', 'a, b', ''])}`,
      'Connection: Upgrade',
      'Sec-WebSocket-Key: !',
    ) + noise(target.random, 30),
  'upgrade with a body': (target) =>
    post(
      target,
      ['Upgrade: websocket', 'Connection: Upgrade', 'Content-Length: 5'],
      `hello${smuggled(target)}`,
    ),
  expect: oneOf(
    ['100-continue', '100-Continue', '200-ok', '', '100-continue, x', '100-continue\r\nExpect: x'],
    (target, value) => post(target, [`Expect: ${value}`, 'Content-Length: 5'], 'hello'),
  ),
  'expect, and no body': (target) =>
    post(target, ['Expect: 100-continue', 'Content-Length: 5'], ''),
  'HTTP/1.0': oneOf(
    ['Connection: keep-alive', 'Connection: close', chunked, 'Content-Length: 2', 'X: y'],
    (target, line) =>
      message([`GET ${target.path} HTTP/1.0`, line], `0${CRLF}${CRLF}${smuggled(target)}`),
  ),
  'a body with GET': (target) => get(target, 'Content-Length: 5') + 'hello',
  'a body that never comes': (target) => post(target, ['Content-Length: 500'], 'hello'),
  'a body in many chunks': (target) =>
    post(target, [chunked], `1${CRLF}x${CRLF}`.repeat(300) + `0${CRLF}${CRLF}`),
  'more than one response can hold back': (target) => get(target).repeat(40),
  'behind Connection: close': (target) => get(target, 'Connection: close') + smuggled(target),
  HEAD: (target) =>
    message([`HEAD ${target.path} HTTP/1.1`, 'Host: a', 'Content-Length: 3'], `abc${get(target)}`),
  ordinary: (target) => post(target, ['Content-Length: 5'], 'hello'),
}

const names = Object.keys(kinds)

/** Makes an attack. */
export function attack(random: Random, number: number): Attack {
  const id = number.toString(36)
  const kind = names[number % names.length] as string
  const target = { path: `/h/${id}`, id, random }
  const before = random.below(4) === 0 ? get(target).repeat(1 + random.below(2)) : ''
  const after = random.below(3) === 0 ? smuggled(target) : ''
  const bytes = Buffer.from(before + (kinds[kind] as Make)(target) + after, 'latin1')
  const sent = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length
  const slow = random.below(20) === 0
  const packets = random.pick([0, 0, 1, 2, slow ? 20 : 3])
  const cuts = Array.from({ length: packets }, () => random.below(sent + 1)).sort((a, b) => a - b)
  const ending = random.pick(['wait', 'wait', 'wait', 'end', 'reset'] as const)
  const behind = before !== ''
  return { id, kind, behind, bytes, sent, cuts, gap: slow ? 20 : random.below(2), ending }
}
