// Streams that can't begin at once: no worker is ready, the worker has its hands full, or it died before it had the request.

import { contract, stream } from '@clusterwire/core'
import type { MeshPeer } from '@clusterwire/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  allReady,
  controller,
  type Deferred,
  deferred,
  failureOf,
  ManualClock,
  turn,
  until,
} from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const film = contract('film', {
  watch: stream({ input: z.int(), output: z.int(), queue: { limit: 2, timeout: 100 } }),
  shoot: stream({ upload: z.int(), output: z.int(), queue: { limit: 2, timeout: 100 } }),
})
const cinema = contract('cinema', {
  seat: stream({
    input: z.int(),
    output: z.int(),
    concurrency: 2,
    queue: { limit: 1, timeout: 100 },
  }),
})

export function describeStreamLimits(createLinks: CreateLinks): void {
  const opened = async (workers = 2) => {
    const clock = new ManualClock()
    const { mesh, primaryEnds } = await openScene(createLinks, { clock, workers })
    return { mesh, clock, primaryEnds, one: mesh.workers[0] as MeshPeer }
  }
  const serveFilm = (worker: MeshPeer) =>
    worker.serve(film, {
      async *watch(n) {
        yield n
        yield worker.number
      },
      async shoot(_input, { upload }) {
        let sum = 0
        for await (const n of upload) sum += n
        return sum
      },
    })

  test('a stream waits for a worker, and so does an upload', async () => {
    const { mesh, one } = await opened()
    serveFilm(one)
    const client = mesh.primary.client(film)
    const watched = client.watch(7)
    const first = watched.next()
    const sum = client.shoot(undefined, { upload: [1, 2, 3] })
    const summed = sum.then((total) => total)
    expect(mesh.primary.pending).toBe(2)
    await one.ready()
    expect(await first).toEqual({ value: 7, done: false })
    expect(await watched.next()).toEqual({ value: 1, done: false })
    expect(await watched.next()).toEqual({ value: undefined, done: true })
    expect(await summed).toBe(6)
  })

  test('one that no worker takes in time is NO_WORKER, and says when to try again', async () => {
    const { mesh, clock } = await opened()
    const waiting = failureOf(mesh.primary.client(film).watch(1).next())
    clock.advance(101)
    expect(await waiting).toMatchObject({ code: 'NO_WORKER', procedure: 'film.watch' })
    expect(await waiting).toHaveProperty('retryAfter', expect.any(Number))
  })

  test('beyond the limit one is OVERLOADED at once; one that is left or aborted frees its place', async () => {
    const { mesh, one } = await opened()
    serveFilm(one)
    const client = mesh.primary.client(film)
    const leaving = controller()
    const left = client.watch(1)
    const unread = left.next()
    const aborted = failureOf(client.watch(2, { signal: leaving.signal }).next())
    expect((await failureOf(client.watch(3).next())).code).toBe('OVERLOADED')
    leaving.abort()
    expect((await aborted).code).toBe('CANCELLED')
    await left.return?.()
    expect(await unread).toEqual({ value: undefined, done: true })
    expect(mesh.primary.pending).toBe(0)
    const again = client.watch(4).next()
    await one.ready()
    expect(await again).toEqual({ value: 4, done: false })
  })

  /** Streams that yield when they are told to. */
  const openCinema = async (workers: number) => {
    const scene = await opened(workers)
    const seats: { readonly n: number; readonly by: number; readonly gate: Deferred }[] = []
    for (const worker of scene.mesh.workers)
      worker.serve(cinema, {
        async *seat(n) {
          const gate = deferred()
          seats.push({ n, by: worker.number, gate })
          yield n
          await gate.promise
        },
      })
    await allReady(scene.mesh)
    const seated = () => seats.map(({ n }) => n)
    const leave = (n: number) => seats.find((seat) => seat.n === n)?.gate.resolve()
    return { ...scene, seated, leave, seats, client: scene.mesh.primary.client(cinema, { to: 1 }) }
  }

  test('a worker runs so many at once; a place is free when a stream has ended, not when its first value came', async () => {
    const { seated, leave, client } = await openCinema(1)
    const streams = [1, 2, 3].map((n) => client.seat(n))
    const firsts = streams.map((one) => one.next())
    expect(await Promise.all(firsts.slice(0, 2))).toHaveLength(2)
    expect(seated()).toEqual([1, 2])
    expect((await failureOf(client.seat(4).next())).code).toBe('OVERLOADED')
    leave(2)
    expect(await firsts[2]).toEqual({ value: 3, done: false })
    expect(seated()).toEqual([1, 2, 3])
    for (const n of [1, 3]) leave(n)
    for (const one of streams) expect((await one.next()).done).toBe(true)
  })

  test('a reader that leaves frees the place when the handler has ended, and not before', async () => {
    const { seated, leave, client } = await openCinema(1)
    const [one, two] = [client.seat(1), client.seat(2)]
    await Promise.all([one.next(), two.next()])
    await one.return?.()
    const third = client.seat(3).next()
    for (let n = 0; n < 20; n++) await turn()
    expect(seated()).toEqual([1, 2])
    leave(1)
    expect(await third).toEqual({ value: 3, done: false })
    leave(2)
    leave(3)
    await two.return?.()
  })

  test('one that a worker has no place for begins on another', async () => {
    const { mesh, seats, leave, client } = await openCinema(3)
    const busy = [1, 2, 3].map((n) => client.seat(n))
    const firsts = busy.map((one) => one.next())
    await Promise.all(firsts.slice(0, 2))
    await until(() => mesh.workers[0]?.peer.serving === 3, 'the third waits there')
    // The other worker's client knows nothing of that.
    const asked = mesh.workers[1]?.client(cinema).seat(4)
    expect(await asked?.next()).toEqual({ value: 4, done: false })
    expect(seats.find(({ n }) => n === 4)?.by).toBe(3)
    for (const n of [1, 2]) leave(n)
    await firsts[2]
    for (const n of [3, 4]) leave(n)
    for (const one of [...busy, asked]) expect((await one?.next())?.done).toBe(true)
  })

  test('one that never reached its worker begins on another', async () => {
    const { mesh, primaryEnds } = await opened(2)
    for (const worker of mesh.workers) serveFilm(worker)
    await allReady(mesh)
    const streams = [1, 2, 3, 4].map((n) => mesh.primary.client(film).watch(n))
    const firsts = streams.map((one) => one.next())
    primaryEnds[0]?.destroy(new Error('cut'))
    expect((await Promise.all(firsts)).map(({ value }) => value)).toEqual([1, 2, 3, 4])
    for (const one of streams) expect(await one.next()).toEqual({ value: 2, done: false })
    for (const one of streams) expect((await one.next()).done).toBe(true)
  })
}
