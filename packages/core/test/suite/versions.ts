// Two versions of a contract in one mesh, as during a rolling restart: what works, what does not, and what is said then.

import { type Contract, contract, type Members, procedure, stream } from '@clusterwire/core'
import type { MemoryMesh, MeshPeer } from '@clusterwire/core/testing'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { allReady, everyoneKnows, type Failed, failureOf, turn, until } from '../support.js'
import { type CreateLinks, openScene } from './scene.js'

const name = z.string()
const age = z.int()

/** One version of the contract. */
const people = <const M extends Members>(members: M) => contract('people', members)

export function describeVersions(createLinks: CreateLinks): void {
  /** Workers that serve this version of it. */
  const serving = async (version: Contract, put: (input: never, context: never) => unknown) => {
    const { mesh } = await openScene(createLinks, { workers: 1 })
    for (const worker of mesh.workers) worker.serve(version, { put } as never)
    await allReady(mesh)
    return mesh
  }
  const fingerprintAt = (worker: MeshPeer) =>
    worker.peer.directory.get(worker.number)?.procedures.get('people.put')?.fingerprint as string

  test('a field that the handler’s version adds, and can do without, is no obstacle', async () => {
    const [old, next] = [
      procedure({ input: z.object({ name }), output: z.object({ name }) }),
      procedure({
        input: z.object({ name, age: age.optional() }),
        output: z.object({ name, age }),
      }),
    ]
    const mesh = await serving(people({ put: next }), (input: { name: string; age?: number }) => ({
      name: `${input.name}!`,
      age: input.age ?? -1,
    }))
    expect(await mesh.primary.client(people({ put: old })).put({ name: 'Ada' })).toEqual({
      name: 'Ada!',
    })
  })

  test('a field that the caller’s version adds, and can do without, is no obstacle', async () => {
    const [old, next] = [
      procedure({ input: z.object({ name }), output: z.object({ name }) }),
      procedure({
        input: z.object({ name, age }),
        output: z.object({ name, age: age.optional() }),
      }),
    ]
    const mesh = await serving(people({ put: old }), (input) => input)
    expect(await mesh.primary.client(people({ put: next })).put({ name: 'Ada', age: 36 })).toEqual({
      name: 'Ada',
    })
  })

  const changes = [
    ['has lost a field', z.object({ name, age }), z.object({ name }), 'age'],
    [
      'has another name for a field',
      z.object({ name, age }),
      z.object({ name, years: age }),
      'age',
    ],
    ['has another type for a field', z.object({ age }), z.object({ age: z.string() }), 'age'],
    [
      'has another type deep inside',
      z.object({ all: z.array(z.object({ age })) }),
      z.object({ all: z.array(z.object({ age: z.string() })) }),
      'all.0.age',
    ],
  ] as const
  const sampleOf = (schema: unknown): unknown => {
    const keys = Object.keys((schema as z.ZodObject).shape)
    const text = (schema as z.ZodObject).shape.age instanceof z.ZodString
    if (keys[0] === 'all')
      return {
        all: [sampleOf((schema as { shape: { all: { element: unknown } } }).shape.all.element)],
      }
    const values = { name: 'Ada', age: text ? '36' : 36, years: 36 }
    return Object.fromEntries(keys.map((key) => [key, values[key as keyof typeof values]]))
  }
  const expectIncompatible = (error: Failed, { workers }: MemoryMesh) => {
    expect(error).toMatchObject({ code: 'INCOMPATIBLE', procedure: 'people.put' })
    const [there] = workers.map(fingerprintAt)
    expect(error.message).toContain('people.put')
    expect(error.message).toContain('worker 1')
    expect(error.message).toContain(`${there} there`)
    const [, here] = /\(([\w.]+) here, /.exec(error.message) ?? []
    expect(here).toMatch(/^\w{5,}\.\w{5,}$/)
    expect(here).not.toBe(there)
  }

  test.each(changes)(
    'an input that %s is INCOMPATIBLE, with procedure, field and both fingerprints',
    async (_name, theirs, ours, field) => {
      const handler = vi.fn()
      const mesh = await serving(people({ put: procedure({ input: theirs }) }), handler)
      const client = mesh.primary.client(
        people({ put: procedure({ input: ours as z.ZodType<object> }) }),
      )
      const error = await failureOf(client.put(sampleOf(ours) as object))
      expectIncompatible(error, mesh)
      expect(error.message).toContain('another input')
      expect(error.message).toContain(`${field}: `)
      expect(error.issues?.[0]).toMatchObject({
        path: field.split('.').map((key) => (key === '0' ? 0 : key)),
      })
      expect(handler).not.toHaveBeenCalled()
    },
  )

  test.each(changes)(
    'an output that %s is INCOMPATIBLE, with procedure, field and both fingerprints',
    async (_name, ours, theirs, field) => {
      const mesh = await serving(people({ put: procedure({ output: theirs }) }), () =>
        sampleOf(theirs),
      )
      const client = mesh.primary.client(
        people({ put: procedure({ output: ours as z.ZodType<object> }) }),
      )
      const error = await failureOf(client.put())
      expectIncompatible(error, mesh)
      expect(error.message).toContain('another output')
      expect(error.message).toContain(`${field}: `)
    },
  )

  test('a stream’s values of another version pass where they fit', async () => {
    const [old, next] = [
      stream({ output: z.object({ name }) }),
      stream({ output: z.object({ name, age }) }),
    ]
    const mesh = await serving(people({ put: next }), async function* () {
      for (const n of [1, 2, 3]) yield { name: `${n}`, age: n }
    })
    const values: unknown[] = []
    for await (const value of mesh.primary.client(people({ put: old })).put()) values.push(value)
    expect(values).toEqual([{ name: '1' }, { name: '2' }, { name: '3' }])
  })

  test.each(changes)(
    'a stream whose values %s is INCOMPATIBLE, and its producer ends',
    async (_name, ours, theirs, field) => {
      let ended = false
      const mesh = await serving(people({ put: stream({ output: theirs }) }), async function* () {
        try {
          for (;;) {
            yield sampleOf(theirs)
            await turn()
          }
        } finally {
          ended = true
        }
      })
      const values = mesh.primary
        .client(people({ put: stream({ output: ours as z.ZodType<object> }) }))
        .put()
      const error = await failureOf(values.next())
      expectIncompatible(error, mesh)
      expect(error.message).toContain(`${field}: `)
      expect(await values.next()).toEqual({ value: undefined, done: true })
      await until(() => ended, 'the producer has ended')
    },
  )

  test('a stream whose input has another type for a field is INCOMPATIBLE', async () => {
    const mesh = await serving(
      people({ put: stream({ input: z.object({ age }), output: age }) }),
      async function* () {},
    )
    const own = people({ put: stream({ input: z.object({ age: z.string() }), output: age }) })
    const error = await failureOf(mesh.primary.client(own).put({ age: '36' }).next())
    expectIncompatible(error, mesh)
    expect(error.message).toContain('another input: age: ')
  })

  test('C10: each caller goes to its own version while that is there, and to the other when it is not', async () => {
    const [old, next] = [
      contract('people', { put: procedure({ output: age }) }),
      contract('people', { put: procedure({ output: age, input: age.optional() }) }),
    ]
    const { mesh } = await openScene(createLinks, { workers: 4 })
    for (const worker of mesh.workers)
      if (worker.number <= 2) worker.serve(old, { put: () => worker.number })
      else worker.serve(next, { put: () => worker.number })
    await allReady(mesh)
    const peers = [mesh.primary, ...mesh.workers]
    const ask = async (version: typeof old | typeof next) => {
      const found = await Promise.all(
        peers.flatMap((peer) => Array.from({ length: 6 }, () => peer.client(version).put())),
      )
      return new Set(found)
    }
    expect(await ask(old)).toEqual(new Set([1, 2]))
    expect(await ask(next)).toEqual(new Set([3, 4]))
    for (const worker of mesh.workers.slice(0, 2)) {
      worker.kill()
      peers.splice(peers.indexOf(worker), 1)
    }
    await everyoneKnows(mesh)
    expect(await ask(old)).toEqual(new Set([3, 4]))
  })

  test('what was written twice in the same way is the same version; the order of keys means nothing', async () => {
    const write = () =>
      procedure({ input: z.object({ name, age }), output: z.array(z.object({ name })) })
    const turned = procedure({
      output: z.array(z.object({ name })),
      input: z.object({ age, name }),
    })
    const fingerprints: string[] = []
    for (const put of [write(), write(), turned, procedure({ input: z.object({ name }) })]) {
      const mesh = await serving(people({ put }), () => [])
      fingerprints.push(fingerprintAt(mesh.workers[0] as MeshPeer))
    }
    const [one, other, another, different] = fingerprints
    expect(one).toMatch(/^\w{5,}\.\w{5,}$/)
    expect([other, another]).toEqual([one, one])
    expect(different).not.toBe(one)
  })

  test('an answer that one’s own version of the handler refuses stays an INVALID_REQUEST', async () => {
    const write = () =>
      procedure({ input: z.object({ age: age.refine((n) => n < 150, 'is too old') }) })
    const loose = procedure({ input: z.object({ age }) })
    const mesh = await serving(people({ put: write() }), () => {})
    // A refinement has no form that could differ.
    const error = await failureOf(mesh.primary.client(people({ put: loose })).put({ age: 200 }))
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', procedure: 'people.put' })
  })
}
