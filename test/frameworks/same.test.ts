// The same app, served by plain node:http and behind the front, gives the same answers, and sees the same events in the same order.
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { httpFront } from '@clusterwire/http-adapter'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from './client.js'
import type { Exchange } from './exchanges.js'
import { exchangesFor, type Form, forms } from './load.js'
import { expectCertain, seen } from './observe.js'
import { apart, Watch } from './watch.js'

for (const [name, form] of Object.entries(forms))
  describe(name, () => {
    let plain: Side
    let proxied: Side
    beforeAll(async () => {
      plain = await startPlain(form)
      proxied = await startBehindFront(form)
    })
    afterAll(async () => {
      await plain.end()
      await proxied.end()
    })
    for (const [what, exchange] of exchangesFor(form))
      it(`${what}: as under node:http`, async () => {
        const one = await observe(plain, exchange, form)
        expectCertain(exchange, one.result)
        expect(await observe(proxied, exchange, form)).toEqual(one)
      })
  })

interface Side {
  readonly client: Client
  readonly watch: Watch
  end(): Promise<unknown>
}

async function startPlain(form: Form): Promise<Side> {
  const server = await form.plain()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return side(port, server, () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
}

async function startBehindFront(form: Form): Promise<Side> {
  const mesh = await createMemoryMesh({ workers: 1 })
  const [worker] = mesh.workers
  const server = await form.serve(worker as (typeof mesh.workers)[0])
  await worker?.ready()
  const front = httpFront(mesh.primary, { grace: 1 })
  const { port } = await front.listen(0, '127.0.0.1')
  return side(port, server, async () => {
    await front.close()
    await mesh.close()
  })
}

function side(port: number, server: Server, stop: () => Promise<unknown>): Side {
  const client = new Client(port)
  const end = () => {
    client.close()
    return stop()
  }
  return { client, watch: new Watch(server), end }
}

/** What the client has seen, and what the app has heard. */
async function observe({ client, watch }: Side, exchange: Exchange, form: Form) {
  const result = await seen(exchange, client, form)
  await watch.answered(exchange.hears)
  client.close()
  return { result, logs: comparable(await watch.take(), exchange, form) }
}

function comparable(logs: string[][], { freeTiming, unread }: Exchange, { otherCode }: Form) {
  if (otherCode) return []
  if (unread) return logs.map((log) => apart(log).slice(1))
  return freeTiming ? logs.map(apart) : logs
}
