// The forms of an app that serveHttp takes, and what it says about others.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { InvalidOptionError } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { expect, it, onTestFinished } from 'vitest'
import { httpFront, type NodeApp, serveHttp } from '../src/index.js'

const listener = (_req: IncomingMessage, res: ServerResponse) => void res.end('hello')
const server = createServer(listener)

const apps: Record<string, NodeApp> = {
  'a listener': listener,
  'an http.Server': createServer(listener),
  'an https.Server': createHttpsServer(listener),
  'a Koa app': { callback: () => listener },
  'a Fastify instance': { server: createServer(listener), routing: listener },
  "a Nest app, or Nest's adapter": { getHttpServer: () => createServer(listener) },
}

for (const [name, app] of Object.entries(apps))
  it(`${name} is served`, async () => {
    const mesh = await startMesh()
    serveHttp(mesh.worker, app)
    await mesh.worker.ready()
    const front = httpFront(mesh.primary)
    onTestFinished(() => front.close())
    const { port } = await front.listen(0, '127.0.0.1')
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('hello')
  })

it("an app that has a server is served by that one, so that the server's other listeners hear its events", async () => {
  const { worker } = await startMesh()
  expect(serveHttp(worker, { getHttpServer: () => server })).toBe(server)
})

const strangers: Record<string, readonly [unknown, RegExp]> = {
  nothing: [undefined, /a listener, a server or a framework's app is wanted, got undefined/],
  'a port': [3000, /got 3000/],
  'a promise': [Promise.resolve(listener), /await the app first/],
  'an app that takes a Request': [{ fetch: () => new Response() }, /use serveFetch/],
  'another object': [{ handle: listener }, /pass its \(req, res\) listener, or its http\.Server/],
  'a Nest adapter without a server': [{ getHttpServer: () => undefined }, /http\.Server/],
}

for (const [name, [app, message]] of Object.entries(strangers))
  it(`${name} is refused, and the error says what to pass`, async () => {
    const { worker } = await startMesh()
    const serve = () => serveHttp(worker, app as NodeApp)
    expect(serve).toThrow(InvalidOptionError)
    expect(serve).toThrow(message)
  })

async function startMesh() {
  const mesh = await createMemoryMesh({ workers: 1 })
  onTestFinished(() => mesh.close())
  const [worker] = mesh.workers
  return { primary: mesh.primary, worker: worker as NonNullable<typeof worker> }
}
