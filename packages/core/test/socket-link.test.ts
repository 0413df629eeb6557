// What only a link over a socket has to do: what it makes of writes that are not done, and of a socket that ends meanwhile.

import { once } from 'node:events'
import { expect, test } from 'vitest'
import { sendBare } from '../src/exchange.js'
import { Flag, FrameType } from '../src/frames.js'
import { PIECE_BYTES } from '../src/streams.js'
import type { LinkEvents } from '../src/transport.js'
import { SocketLink } from '../src/transports/socket.js'
import { createSocketPair } from './socket-pair.js'
import { turn, until } from './support.js'

const head = { type: FrameType.open, flags: 0, ref: 0, to: 0, from: 0, id: 0, arg: 0 }
const piece = Buffer.alloc(PIECE_BYTES)

function sendPiece(link: SocketLink): void {
  link.begin({ ...head, type: FrameType.data, flags: Flag.bulk }).bytes(piece)
  link.commit()
}

/** Writes data until the socket takes no more of it. */
function fill(link: SocketLink): void {
  while (!link.congested) sendPiece(link)
}

/** A link and the two sockets: what the link tells of its end is noted. */
async function open() {
  const [socket, other] = await createSocketPair()
  if (socket.connecting) await once(socket, 'connect')
  const link = new SocketLink(socket)
  const unsent: number[] = []
  const closed = new Promise<void>((resolve) => {
    const events: LinkEvents = {
      frame() {},
      closed(_reason, frames) {
        for (const { type, id } of frames) if (type === FrameType.open) unsent.push(id)
        resolve()
      },
    }
    link.start(events)
  })
  return { link, socket, other, closed, unsent }
}

test('a small frame is out although streams go on and on', async () => {
  const { link, other, closed } = await open()
  let goesOn = true
  let cleared = 0
  const sender = {
    cleared() {
      cleared++
      if (!goesOn) return
      fill(link)
      link.whenClear(sender)
    },
  }
  fill(link)
  link.whenClear(sender)
  let out = false
  sendBare(link, { ...head, id: 1 })
  link.flush(() => {
    out = true
  })
  expect(out).toBe(false)
  other.on('data', () => {})
  await until(() => out, 'the frame is out')
  const before = cleared
  let allOut = false
  link.flush(() => {
    allOut = true
  }, true)
  await until(() => allOut, 'what was data then is out')
  expect(cleared).toBeGreaterThan(before)
  expect(link.queued).toBeGreaterThan(0)
  goesOn = false
  link.destroy(new Error('enough'))
  other.destroy()
  await closed
})

test('a stream that waits for its turn gets it, although others, which wait for nothing, fill the link again and again', async () => {
  const { link, other, closed } = await open()
  fill(link)
  let cleared = false
  link.whenClear({
    cleared() {
      cleared = true
    },
  })
  other.on('data', () => {})
  // As a router does with what it passes on.
  await until(() => {
    while (link.queued < 1024 * 1024) sendPiece(link)
    return cleared
  }, 'it has its turn')
  link.destroy(new Error('enough'))
  other.destroy()
  await closed
})

test('what waits behind a write that fails was never handed over', async () => {
  const { link, socket, other, closed, unsent } = await open()
  fill(link)
  for (let id = 1; id <= 20_000; id++) sendBare(link, { ...head, id })
  // So that it is the write that learns of the end.
  socket.pause()
  other.destroy()
  await closed
  expect(unsent).toEqual(Array.from({ length: 20_000 }, (_, i) => i + 1))
})

test('what is sent to a side that has ended was never handed over', async () => {
  const { link, socket, other, closed, unsent } = await open()
  fill(link)
  other.end()
  await once(socket, 'end')
  sendBare(link, { ...head, id: 1 })
  link.flush()
  await turn()
  sendBare(link, { ...head, id: 2 })
  link.flush()
  other.destroy()
  await closed
  expect(unsent).toEqual([1, 2])
})

test('what is sent over a link that is being closed was never handed over, and counts as waiting', async () => {
  const { link, other, closed, unsent } = await open()
  sendBare(link, { ...head, id: 1 })
  const done = link.close()
  sendBare(link, { ...head, id: 2 })
  await turn()
  sendPiece(link)
  expect(link.queued).toBeGreaterThan(PIECE_BYTES)
  other.destroy()
  await done
  await closed
  expect(unsent).toEqual([2])
})

test('what is sent over a link that has ended is dropped', async () => {
  const { link, other, closed } = await open()
  fill(link)
  other.destroy()
  await closed
  for (let i = 0; i < 10; i++) sendPiece(link)
  await turn()
  expect([link.queued, link.congested]).toEqual([0, false])
})
