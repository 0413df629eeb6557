// Workers that speak another version of the protocol than the primary: neither side has to guess why they do not come together.

import { describe, expect, test } from 'vitest'
import { systemClock } from '../src/cluster/clock.js'
import { Router } from '../src/cluster/router.js'
import { joinOver } from '../src/cluster/uplink.js'
import { type FrameHead, FrameType, PROTOCOL_VERSION } from '../src/frames.js'
import { Peer } from '../src/peer.js'
import type { Link } from '../src/transport.js'
import { TRANSPORTS } from './hostile/village.js'
import { deferred, failureOf } from './support.js'

/** The link of a worker that says hello as its version does. */
function ofVersion(version: number, link: Link): Link {
  const begin = (head: FrameHead) =>
    link.begin(head.type === FrameType.hello ? { ...head, arg: version } : head)
  return new Proxy(link, {
    get: (target, key) => {
      if (key === 'begin') return begin
      const value = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe.each(TRANSPORTS)('over $name', ({ createLinks }) => {
  test.each([
    ['older', PROTOCOL_VERSION - 1],
    ['newer', PROTOCOL_VERSION + 1],
  ])(
    'a worker of an %s version is told why it can not join, and so is the primary',
    async (_name, version) => {
      const router = new Router(
        (linkTo, announce) =>
          new Peer({ id: 'primary', number: 0, clock: systemClock, linkTo, announce }),
      )
      const [near, far] = await createLinks()
      const left = deferred<Error | undefined>()
      router.attach(1, near, { left: left.resolve })
      const error = await failureOf(
        joinOver({
          link: ofVersion(version, far),
          hello: { id: 'worker', pid: 1 },
          clock: systemClock,
          onLost() {},
        }),
      )
      expect(error.code).toBe('INCOMPATIBLE')
      expect(error.message).toContain(`version ${version} of the protocol`)
      expect(error.message).toContain(`the primary version ${PROTOCOL_VERSION}`)
      expect(await left.promise).toMatchObject({ code: 'INCOMPATIBLE' })
      expect(router.peer.directory.get(1)).toBeUndefined()
    },
  )
})
