// What those get to know who watch the diagnostics channels.

import diagnostics from 'node:diagnostics_channel'
import { contract, procedure, stream, topic } from '@clusterwire/core'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { type CreateLinks, openScene } from './scene.js'

const desk = contract('desk', {
  greet: procedure({ input: z.string(), output: z.string() }),
  count: stream({ output: z.int() }),
  news: topic(z.string()),
})

/** Collects what a channel says until the test is over. */
function listen(name: string): Record<string, unknown>[] {
  const heard: Record<string, unknown>[] = []
  const hear = (message: unknown) => heard.push(message as Record<string, unknown>)
  diagnostics.subscribe(`clusterwire:${name}`, hear)
  onTestFinished(() => {
    diagnostics.unsubscribe(`clusterwire:${name}`, hear)
  })
  return heard
}

export function describeDiagnostics(createLinks: CreateLinks): void {
  test('diagnostics channels tell of calls, handlers, streams, publications and peers', async () => {
    const names = ['call', 'handle', 'stream'].flatMap((kind) => [
      `${kind}.start`,
      `${kind}.end`,
      `${kind}.error`,
    ])
    const heard = Object.fromEntries(
      [...names, 'publish', 'peer.up', 'peer.down'].map((name) => [name, listen(name)]),
    )
    const { mesh } = await openScene(createLinks, { workers: 1 })
    const [worker] = mesh.workers
    worker?.serve(desk, {
      greet: (name) => {
        if (name === '') throw new Error('nobody')
        return `hello ${name}`
      },
      async *count() {
        yield 1
      },
    })
    await worker?.ready()
    const client = mesh.primary.client(desk)
    // The worker's own ready() was a call, too.
    for (const messages of Object.values(heard))
      if (messages !== heard['peer.up']) messages.length = 0
    await client.greet('Ada')
    const [start] = heard['call.start'] ?? []
    expect(start).toMatchObject({ procedure: 'desk.greet', peer: 0, other: 1 })
    expect(heard['call.end']?.[0]).toBe(start)
    expect(heard['handle.start']).toEqual([
      expect.objectContaining({ procedure: 'desk.greet', peer: 1, other: 0 }),
    ])
    expect(heard['handle.end']?.[0]).toBe(heard['handle.start']?.[0])
    await expect(client.greet('')).rejects.toThrow('nobody')
    expect(heard['call.error']?.[0]?.error).toMatchObject({ code: 'HANDLER_ERROR' })
    expect(heard['handle.error']?.[0]?.error).toMatchObject({ message: 'nobody' })
    for await (const _ of client.count()) void _
    expect(heard['stream.end']?.[0]).toBe(heard['stream.start']?.[0])
    mesh.primary.publish(desk.news, 'extra')
    expect(heard.publish).toEqual([{ topic: 'desk.news', peer: 0, awaited: false }])
    expect(heard['peer.up']).toContainEqual(expect.objectContaining({ peer: 0, number: 1 }))
    worker?.kill()
    await expect
      .poll(() => heard['peer.down'])
      .toContainEqual(expect.objectContaining({ peer: 0, number: 1 }))
  })
}
