// The weight that a process carries while much is received: it comes with speed, has a bound, and goes.

import { expect, test } from 'vitest'
import { TestClock } from '../src/testing/clock.js'
import { Ballast } from '../src/transports/ballast.js'

const MIB = 1024 * 1024
const PIECE = 64 * 1024

/** Lets so many bytes come in, in pieces, as fast as this. */
async function receive(ballast: Ballast, clock: TestClock, bytes: number, bytesPerMs: number) {
  for (let at = 0; at < bytes; at += MIB) {
    for (let piece = 0; piece < MIB; piece += PIECE) ballast.note(PIECE)
    await clock.advance(MIB / bytesPerMs)
  }
}

test('a gigabyte at full speed takes 16 MiB of memory, which are given back when it is over', async () => {
  const clock = new TestClock()
  const ballast = new Ballast(clock)
  await receive(ballast, clock, 1024 * MIB, MIB)
  expect(ballast.size).toBe(16 * MIB)
  await clock.advance(20_000)
  expect(ballast.size).toBe(0)
  expect(clock.waiting).toBe(0)
})

test('it stays while more comes at full speed, again and again', async () => {
  const clock = new TestClock()
  const ballast = new Ballast(clock)
  for (let round = 0; round < 10; round++) {
    await receive(ballast, clock, 128 * MIB, MIB)
    expect(ballast.size).toBe(16 * MIB)
    await clock.advance(5_000)
  }
})

test('what comes slowly, or is small, or is soon over, takes none', async () => {
  const clock = new TestClock()
  const ballast = new Ballast(clock)
  await receive(ballast, clock, 128 * MIB, 20 * 1024)
  for (let i = 0; i < 100_000; i++) ballast.note(4096)
  await receive(ballast, clock, 4 * MIB, MIB)
  expect(ballast.size).toBe(0)
  expect(clock.waiting).toBe(0)
})
