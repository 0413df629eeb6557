// A thousand clusters in which anything may happen at any time, and what must hold in all of them. Time stands still unless a run moves
// it, and every choice comes from a seed: a run that fails is printed as the shortest list of operations that fails, and can be repeated.
//
//   CLUSTERWIRE_SIMULATION="runs=20000 seed=7"            more runs, or others
//   CLUSTERWIRE_SIMULATION="seed=7 path=12:0:3"           the one that was printed

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Frame } from '../src/frames.js'
import { FrameType } from '../src/frames.js'
import type { Link, LinkEvents } from '../src/transport.js'
import { createLinkPair } from '../src/transports/memory.js'
import { anyRun, fairRun, type Operation } from './simulation/operations.js'
import { World } from './simulation/world.js'

const given = Object.fromEntries(
  (process.env.CLUSTERWIRE_SIMULATION ?? '').split(' ').map((part) => part.split('=')),
) as { readonly runs?: string; readonly seed?: string; readonly path?: string }

const parameters = (runs: number): fc.Parameters<[Operation[]]> => ({
  numRuns: Number(given.runs ?? runs),
  seed: Number(given.seed ?? 20_260_101),
  ...(given.path !== undefined && { path: given.path }),
})

/** Some 200 runs take a second; an hour for those who ask for more. */
const PATIENCE_MS = given.runs === undefined ? 60_000 : 3_600_000

test(
  'whatever happens, what is promised holds',
  async () => {
    const property = fc.asyncProperty(anyRun, async (operations) => {
      const world = await World.open()
      for (const operation of operations) await world.do(operation)
      await world.finish({ healthy: false })
    })
    await fc.assert(property, parameters(1_000))
  },
  PATIENCE_MS,
)

test(
  'while nothing goes wrong, everything that has the time for it succeeds',
  async () => {
    const property = fc.asyncProperty(fairRun, async (operations) => {
      const world = await World.open()
      for (const operation of operations) await world.do(operation)
      await world.finish({ healthy: true })
    })
    await fc.assert(property, parameters(300))
  },
  PATIENCE_MS,
)

/** What a broken link makes of a frame that comes in. */
type Breakage = (frame: Frame, deliver: (frame: Frame) => void) => void

const copyOf = (frame: Frame): Frame => ({ ...frame, bytes: Buffer.from(frame.bytes) })

/** Each breaks one thing that the simulation must notice. */
const breakages: Record<string, () => Breakage> = {
  'publications that arrive twice': () => (frame, deliver) => {
    deliver(frame)
    if (frame.type === FrameType.publish) deliver(frame)
  },
  'publications that change places': () => {
    let held: Frame | undefined
    return (frame, deliver) => {
      if (frame.type === FrameType.publish && held === undefined) held = copyOf(frame)
      else {
        deliver(frame)
        if (held !== undefined && frame.type === FrameType.publish) {
          deliver(held)
          held = undefined
        }
      }
    }
  },
  'answers that are lost': () => (frame, deliver) => {
    if (frame.type !== FrameType.reply) deliver(frame)
  },
  'answers that are given to one another’s calls': () => {
    let held: Frame | undefined
    return (frame, deliver) => {
      if (frame.type !== FrameType.reply || frame.end === frame.body) deliver(frame)
      else if (held === undefined) held = copyOf(frame)
      else {
        const [one, other] = [copyOf(frame), held]
        held = undefined
        deliver({ ...one, id: other.id })
        deliver({ ...other, id: one.id })
      }
    }
  },
  'data that is lost': () => (frame, deliver) => {
    if (frame.type !== FrameType.data) deliver(frame)
  },
}

/** The same link, with what comes in broken. */
function broken(link: Link, breakage: Breakage): Link {
  const start = (events: LinkEvents) =>
    link.start({
      frame: (frame) => breakage(frame, (one) => events.frame(one)),
      closed: (reason, unsent) => events.closed(reason, unsent),
    })
  return new Proxy(link, {
    get(target, key) {
      const value = key === 'start' ? start : Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('a cluster that is broken on purpose is found out', () => {
  test.each(Object.entries(breakages))(
    '%s',
    async (_name, make) => {
      const createLinks = (): [Link, Link] => {
        const [near, far] = createLinkPair()
        return [broken(near, make()), broken(far, make())]
      }
      const property = fc.asyncProperty(fairRun, async (operations) => {
        const world = await World.open({ createLinks })
        for (const operation of operations) await world.do(operation)
        await world.finish({ healthy: true, faults: false })
      })
      const { failed } = await fc.check(property, { numRuns: 300, seed: 1, endOnFailure: true })
      expect(failed).toBe(true)
    },
    30_000,
  )
})
