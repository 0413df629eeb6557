// Requests that are under way in the primary when the worker that they are meant for is lost.

import { expect, test } from 'vitest'
import { createLinkPair, type MemoryLink, type Wire } from '../src/transports/memory.js'
import { lab } from './fixtures/lab.js'
import { serveLab } from './fixtures/workbench.js'
import { allReady, failureOf, openMesh, turn, until } from './support.js'

/** A mesh in which what the primary sends to a worker can be held back. */
async function openMeshWithLocks(workers: number) {
  const ends: MemoryLink[] = []
  const held = new Set<number>()
  const mesh = await openMesh({
    workers,
    createLinks() {
      const number = ends.length + 1
      const there: Wire = {
        get open() {
          return !held.has(number)
        },
        carry: (run) => run(),
      }
      const [near, far] = createLinkPair({ wires: [there, { open: true, carry: (run) => run() }] })
      ends.push(near)
      return [near, far]
    },
  })
  for (const worker of mesh.workers) serveLab(worker)
  await allReady(mesh)
  return { mesh, ends, hold: (number: number) => held.add(number) }
}

const ada = { name: 'Ada', times: 1 }

test('a worker’s request that waits in the primary for a worker that is lost goes elsewhere', async () => {
  const { mesh, ends, hold } = await openMeshWithLocks(3)
  const [one] = mesh.workers as [(typeof mesh.workers)[0]]
  hold(2)
  const calls = [one.client(lab).greet(ada), one.client(lab).greet(ada)]
  await until(() => one.pending === 1, 'worker 3 has answered its one')
  await turn()
  ends[1]?.destroy(new Error('cut'))
  expect((await Promise.all(calls)).map(({ by }) => by)).toEqual([3, 3])
})

test('a worker’s request to one worker that waits in the primary when that is lost has not run', async () => {
  const { mesh, ends, hold } = await openMeshWithLocks(2)
  hold(2)
  const call = failureOf(
    (mesh.workers[0] as (typeof mesh.workers)[0]).client(lab, { to: 2 }).greet(ada),
  )
  await turn()
  ends[1]?.destroy(new Error('cut'))
  expect(await call).toMatchObject({ code: 'WORKER_LOST', started: 'no' })
})

test('requests that wait in a worker whose way to the primary ends have not run, none of them', async () => {
  let held = false
  const far: MemoryLink[] = []
  const mesh = await openMesh({
    workers: 2,
    createLinks() {
      const back: Wire = {
        get open() {
          return !held
        },
        carry: (run) => run(),
      }
      const links = createLinkPair({ wires: [{ open: true, carry: (run) => run() }, back] })
      far.push(links[1])
      return links
    },
  })
  for (const worker of mesh.workers) serveLab(worker)
  await allReady(mesh)
  held = true
  const client = (mesh.workers[0] as (typeof mesh.workers)[0]).client(lab, { to: 2 })
  const calls = [1, 2, 3].map(() => failureOf(client.greet(ada)))
  await turn()
  far[0]?.destroy(new Error('cut'))
  const failures = await Promise.all(calls)
  expect(failures.map(({ code, started }) => `${code} ${started}`)).toEqual(
    calls.map(() => 'WORKER_LOST no'),
  )
})

test('what is sent to a worker whose link is ending is settled, and nothing throws', async () => {
  const { mesh, ends, hold } = await openMeshWithLocks(2)
  hold(2)
  const client = mesh.primary.client(lab, { to: 2 })
  const before = failureOf(client.greet(ada))
  ends[1]?.destroy(new Error('cut'))
  const after = failureOf(client.greet(ada))
  mesh.primary.publish(lab.news, { n: 1 })
  expect((await before).code).toBe('WORKER_LOST')
  expect((await after).code).toBe('NO_WORKER')
})
