// An Express app answers behind the front as it does under node:http.
import { createServer, IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { httpFront, serveHttp } from '@clusterwire/http-adapter'
import express from 'express'
import { expect, it, onTestFinished } from 'vitest'

const thisFile = fileURLToPath(import.meta.url)

function createApp(): express.Express {
  const app = express()
  app.use((req, res, next) => {
    res.set('x-real', String(req instanceof IncomingMessage)).set('x-ip', req.ip ?? '')
    next()
  })
  app.get('/json', (_req, res) => void res.json({ hello: 'world' }))
  app.get('/text', (_req, res) => void res.type('txt').send('grüße'))
  app.get('/redirect', (_req, res) => res.redirect('/text'))
  app.get('/cookie', (_req, res) => void res.cookie('a', '1').cookie('b', '2').sendStatus(200))
  app.get('/file', (_req, res) => res.sendFile(thisFile))
  app.get('/stream', (_req, res) => {
    res.write('one ')
    setImmediate(() => res.end('two'))
  })
  app.get('/throws', () => {
    throw Object.assign(new Error('teapot'), { status: 418, expose: true })
  })
  app.post('/echo', express.json(), (req, res) => void res.json(req.body))
  app.post('/form', express.urlencoded(), (req, res) => void res.json(req.body))
  app.post('/raw', express.raw({ type: '*/*', limit: '2mb' }), (req, res) => {
    res.json({ bytes: (req.body as Buffer).length })
  })
  app.use(
    (error: Error & { status?: number }, _req: unknown, res: express.Response, next: unknown) => {
      if (typeof next !== 'function') return
      res.status(error.status ?? 500).send(error.message)
    },
  )
  return app
}

interface Call {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

const json = { 'content-type': 'application/json' }
const calls: Record<string, Call> = {
  'a JSON response': { path: '/json' },
  'an ETag that matches': {
    path: '/json',
    headers: { 'if-none-match': 'W/"11-IkjuL6CqqtmReFMfkkvwC0sKj04"' },
  },
  HEAD: { path: '/json', method: 'HEAD' },
  'a text response': { path: '/text' },
  'a redirect': { path: '/redirect' },
  cookies: { path: '/cookie' },
  'a file': { path: '/file' },
  'a part of a file': { path: '/file', headers: { range: 'bytes=10-19' } },
  'a part that is not there': { path: '/file', headers: { range: 'bytes=99999999-' } },
  'a response in chunks': { path: '/stream' },
  'an error': { path: '/throws' },
  'a path that is not there': { path: '/nowhere' },
  'a JSON body': { path: '/echo', method: 'POST', headers: json, body: '{"a":[1,2]}' },
  'a JSON body that is none': { path: '/echo', method: 'POST', headers: json, body: '{"a":' },
  'a JSON body that is too large': {
    path: '/echo',
    method: 'POST',
    headers: json,
    body: `"${'x'.repeat(200_000)}"`,
  },
  'a form': {
    ...{ path: '/form', method: 'POST', body: 'a=1&b=2' },
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  },
  'a megabyte': { path: '/raw', method: 'POST', body: Buffer.alloc(1_000_000, 'x') },
}

for (const [name, call] of Object.entries(calls))
  it(`Express: ${name}, as under node:http`, async () => {
    const plain = await exchange(await listen(createServer(createApp())), call)
    expect(await exchange(await listenBehindFront(createApp()), call)).toEqual(plain)
  })

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

async function listenBehindFront(app: express.Express): Promise<number> {
  const mesh = await createMemoryMesh({ workers: 1 })
  for (const worker of mesh.workers) {
    serveHttp(worker, app)
    await worker.ready()
  }
  const front = httpFront(mesh.primary)
  onTestFinished(async () => {
    await front.close()
    await mesh.close()
  })
  return (await front.listen(0, '127.0.0.1')).port
}

async function exchange(port: number, { path, method = 'GET', headers = {}, body }: Call) {
  const res = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { port, path, method, headers, agent: false, host: '127.0.0.1' } as const
    request(options).on('response', resolve).on('error', reject).end(body)
  })
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk as Buffer)
  const { date, ...rest } = res.headers
  const { statusCode, statusMessage } = res
  expect(date).toBeDefined()
  return {
    statusCode,
    statusMessage,
    headers: rest,
    body: Buffer.concat(chunks).toString('latin1'),
  }
}
