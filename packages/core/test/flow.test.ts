// A reader that is far slower than its writer costs no memory, and nobody else waits for it.

import { expect, test } from 'vitest'
import { createLinkPair } from '../src/transports/memory.js'
import { lab } from './fixtures/lab.js'
import { serveLab } from './fixtures/workbench.js'
import { createSocketLinks } from './socket-pair.js'
import { openScene } from './suite/scene.js'
import { allReady, collect, turn } from './support.js'

const MB = 1024 * 1024
const PIECE = 64 * 1024
const PIECES = (1024 * MB) / PIECE
/** Turns of the event loop for each piece that is read. The writer could use every one of them. */
const TURNS = 10
const PIECES_PER_LOOK = (32 * MB) / PIECE

/** Bytes of this process, after all that can be collected has been. */
function memoryInUse(): { readonly rss: number; readonly external: number } {
  collect()
  const { rss, external } = process.memoryUsage()
  return { rss, external }
}

/** What each reader and caller here leaves to the others before it goes on. */
async function turns(): Promise<void> {
  for (let n = 0; n < TURNS; n++) await turn()
}

const transports = { memory: () => createLinkPair(), sockets: () => createSocketLinks() }

for (const [transport, createLinks] of Object.entries(transports))
  test(`must pass 11: 1 GiB over ${transport} through a reader at a tenth of its writer's speed needs no memory, and holds nothing else up`, async () => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    let written = 0
    for (const worker of mesh.workers)
      serveLab(worker, {
        async *pieces({ count, size }) {
          for (; written < count; written++) yield new Uint8Array(size)
        },
        async *count() {
          for (let n = 1; ; n++) yield n
        },
      })
    await allReady(mesh)
    const client = mesh.primary.client(lab)
    const progress = { calls: 0, values: 0 }
    let over = false
    const calling = (async () => {
      for (; !over; progress.calls++) {
        await client.anything('small')
        await turns()
      }
    })()
    const counting = (async () => {
      for await (const n of client.count({ to: 0 })) {
        expect(n).toBe(++progress.values)
        if (over) break
        await turns()
      }
    })()
    const looks: ReturnType<typeof memoryInUse>[] = []
    let read = 0
    let ahead = 0
    let seen = { ...progress }
    for await (const { length } of client.pieces({ count: PIECES, size: PIECE })) {
      expect(length).toBe(PIECE)
      read++
      await turns()
      ahead = Math.max(ahead, written - read)
      if (read % PIECES_PER_LOOK !== 0) continue
      looks.push(memoryInUse())
      expect(progress.calls).toBeGreaterThan(seen.calls)
      expect(progress.values).toBeGreaterThan(seen.values)
      seen = { ...progress }
    }
    over = true
    await Promise.all([calling, counting])
    expect(read).toBe(PIECES)
    // It did write ahead, as far as its credit goes.
    expect(ahead).toBeGreaterThan(1)
    const [warm, ...later] = looks as [ReturnType<typeof memoryInUse>]
    for (const { rss, external } of later) {
      expect((external - warm.external) / MB).toBeLessThan(64)
      expect((rss - warm.rss) / MB).toBeLessThan(64)
    }
  }, 120_000)
