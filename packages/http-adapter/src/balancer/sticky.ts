// A client's requests go to the same worker, its home, for as long as that takes requests. Nothing is remembered here: what a request
// brings along says where it belongs, to this front and to every other.

import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { InvalidOptionError } from '@clusterwire/core'
import { type Member, pickByKey } from '@clusterwire/core/peer'
import type { Balancer } from './balancer.js'
import { leastPending } from './turns.js'

/** By what requests belong together: exactly one of `cookie`, `header` and `address`. */
export interface StickyOptions {
  /** By a cookie that names the home. The front sets it when a request brings none, or one whose home is gone. Its name, or more */
  readonly cookie?: string | StickyCookie
  /** By the value of a header, such as `authorization`, or a session's own id. Its name, in any case */
  readonly header?: string
  /** By the client's address. Behind a proxy or NAT many clients share one: see `header` */
  readonly address?: true
  /** Who gets a request that says nothing of where it belongs. Default `leastPending()` */
  readonly otherwise?: Balancer
}

/** The cookie that names a client's home. It is always `HttpOnly`, and ends with the browser's session. */
export interface StickyCookie {
  readonly name: string
  /** Default `/` */
  readonly path?: string
  /** Default `Lax` */
  readonly sameSite?: 'Strict' | 'Lax' | 'None'
  /** Whether it is sent over https only. Default: when the client's connection to the front is encrypted, or `sameSite` is `None` */
  readonly secure?: boolean
}

/**
 * Creates the policy that gives a client's requests to the same worker. When that one is gone, drains or is suspect, all of them go to one
 * other, by rendezvous hashing, and with `cookie` stay there; when it only has too much to do (`concurrency`), they wait for it.
 *
 * @throws InvalidOptionError
 */
export function sticky(options: StickyOptions): Balancer {
  const { cookie, header, address, otherwise = leastPending() } = options
  if ([cookie, header, address].filter((one) => one !== undefined).length !== 1)
    throw new InvalidOptionError('sticky({ cookie | header | address }): exactly one is allowed')
  if (cookie !== undefined)
    return byCookie(typeof cookie === 'string' ? { name: cookie } : cookie, otherwise)
  if (header !== undefined) {
    assertToken('header', header)
    const name = header.toLowerCase()
    return byKey(({ headers }) => String(headers[name] ?? ''), otherwise)
  }
  return byKey(({ socket }) => socket.remoteAddress ?? '', otherwise)
}

function byKey(keyOf: (request: IncomingMessage) => string, otherwise: Balancer): Balancer {
  return {
    choose(candidates, request, all) {
      const key = keyOf(request)
      return key === '' ? otherwise.choose(candidates, request, all) : pickByKey(all, key)
    },
    observe: (member, ms) => otherwise.observe?.(member, ms),
  }
}

function byCookie(cookie: StickyCookie, otherwise: Balancer): Balancer {
  const { name, path = '/', sameSite = 'Lax', secure } = cookie
  assertToken('cookie.name', name)
  if (!/^\/[!-:<-~]*$/.test(path))
    throw new InvalidOptionError(`sticky({ cookie: { path } }): a path is allowed, got ${path}`)
  if (!['Strict', 'Lax', 'None'].includes(sameSite))
    throw new InvalidOptionError(
      `sticky({ cookie: { sameSite } }): Strict, Lax or None is allowed, got ${sameSite}`,
    )
  const attributes = `; Path=${path}; HttpOnly; SameSite=${sameSite}`
  return {
    choose(candidates, request, all) {
      const told = readCookie(request, name)
      if (told === '') return otherwise.choose(candidates, request, all)
      // A home that is gone is what all of its clients' requests hash by, so they find the same new one, whichever comes first.
      return all.find(({ member }) => nameOf(member) === told) ?? pickByKey(all, told)
    },
    cookieFor(member, request) {
      const home = nameOf(member)
      if (readCookie(request, name) === home) return undefined
      const encrypted = (request.socket as Partial<TLSSocket>).encrypted === true
      return `${name}=${home}${attributes}${(secure ?? (encrypted || sameSite === 'None')) ? '; Secure' : ''}`
    },
    observe: (member, ms) => otherwise.observe?.(member, ms),
  }
}

const names = new WeakMap<Member, string>()

/** What a worker is called in a cookie: a name that no other has, and that says nothing of it. */
function nameOf(member: Member): string {
  let name = names.get(member)
  if (name === undefined) {
    // Loaded when it is needed: it takes 0.7 MiB and 2 ms.
    const { createHash } = process.getBuiltinModule('node:crypto')
    name = createHash('sha256').update(member.id).digest('base64url').slice(0, 16)
    names.set(member, name)
  }
  return name
}

/** A cookie's value; empty when there is none, or it is too long to be one of ours. */
function readCookie({ headers }: IncomingMessage, name: string): string {
  for (const pair of headers.cookie?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (pair.slice(0, equals).trim() === name)
      return pair
        .slice(equals + 1)
        .trim()
        .slice(0, 64)
  }
  return ''
}

function assertToken(option: string, name: string): void {
  if (typeof name !== 'string' || !/^[!#$%&'*+\-.^_`|~\w]+$/.test(name))
    throw new InvalidOptionError(
      `sticky({ ${option} }): a name is allowed, got ${JSON.stringify(name)}`,
    )
}
