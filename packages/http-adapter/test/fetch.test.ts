// serveFetch: apps that take a Request and give a Response.
import { Readable } from 'node:stream'
import { DeadlineExceededError } from '@clusterwire/core'
import { createMemoryMesh } from '@clusterwire/core/testing'
import { expect, it, onTestFinished } from 'vitest'
import { type FetchHandler, type FrontOptions, httpFront, serveFetch } from '../src/index.js'
import { open, talk, until } from './support/raw.js'

async function start(handler: FetchHandler, options: FrontOptions = {}) {
  const errors: unknown[] = []
  const mesh = await createMemoryMesh({ workers: 2 })
  for (const worker of mesh.workers) {
    serveFetch(worker, handler, { onError: (error) => errors.push(error) })
    await worker.ready()
  }
  const front = httpFront(mesh.primary, { grace: 1, ...options })
  const { port } = await front.listen(0, '127.0.0.1')
  onTestFinished(async () => {
    await front.close()
    await mesh.close()
  })
  return { port, url: `http://127.0.0.1:${port}`, front, errors }
}

it('a request is what the client sent', async () => {
  const { url } = await start(async (request) =>
    Response.json({
      ...{ method: request.method, url: request.url, type: request.headers.get('content-type') },
      body: await request.text(),
    }),
  )
  const response = await fetch(`${url}/a?b=c`, { method: 'PUT', body: 'grüße' })
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(await response.json()).toEqual({
    method: 'PUT',
    url: `${url}/a?b=c`,
    type: 'text/plain;charset=UTF-8',
    body: 'grüße',
  })
})

it('a path that begins with two slashes is a path, not a host', async () => {
  const { port } = await start(({ url }) => new Response(url))
  const answer = await talk(
    port,
    'GET //evil.test/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  expect(answer).toContain('http://a//evil.test/x')
})

it('a response is what the handler gave: status, message, several cookies, no body where none belongs', async () => {
  const { url } = await start(({ method }) => {
    const headers = new Headers([
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ])
    const body = method === 'DELETE' ? null : 'body'
    return new Response(body, { status: body ? 201 : 204, statusText: 'Well Done', headers })
  })
  const response = await fetch(url)
  expect([response.status, response.statusText]).toEqual([201, 'Well Done'])
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  expect(await (await fetch(url, { method: 'HEAD' })).text()).toBe('')
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(204)
})

it('bodies stream both ways', async () => {
  const { url } = await start(({ body }) => new Response(body))
  const size = 3_000_000
  const response = await fetch(url, { method: 'POST', body: Buffer.alloc(size, 'x') })
  expect((await response.text()).length).toBe(size)
})

it('a client that goes away: the signal aborts and the body is cancelled', async () => {
  let signal: AbortSignal | undefined
  let cancelled = false
  const { port, front } = await start((request) => {
    signal = request.signal
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from('first')),
      cancel() {
        cancelled = true
      },
    })
    return new Response(body)
  })
  const socket = await open(port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await new Promise((resolve) => socket.once('data', resolve))
  expect(signal?.aborted).toBe(false)
  socket.destroy()
  await until(() => signal?.aborted === true && cancelled)
  expect(front.stats()).toMatchObject({ active: 0 })
})

it('the signal’s reason says whether the client is gone or the time is up', async () => {
  const reasons: unknown[] = []
  const wait: FetchHandler = ({ signal }) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        reasons.push(signal.reason)
        resolve(new Response())
      })
    })
  const { port, url, front } = await start(wait, {
    timeout: ({ url }) => (url === '/short' ? 50 : 0),
  })
  expect((await fetch(`${url}/short`)).status).toBe(504)
  await until(() => reasons.length === 1)
  expect(reasons[0]).toBeInstanceOf(DeadlineExceededError)
  expect(reasons[0]).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  const socket = await open(port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.stats().workers.some(({ pending }) => pending === 1))
  socket.destroy()
  await until(() => reasons.length === 2)
  expect(reasons[1]).toMatchObject({ name: 'AbortError', message: 'The client is gone' })
})

it('a handler that throws: 500, and nothing about why', async () => {
  const { url, errors } = await start(() => {
    throw new Error('the password is hunter2')
  })
  const response = await fetch(url)
  expect(response.status).toBe(500)
  expect(await response.text()).toBe('Internal Server Error\n')
  expect(errors).toMatchObject([{ message: 'the password is hunter2' }])
})

it('a body that fails: the response is cut, not ended', async () => {
  const { url } = await start(() => {
    let pulls = 0
    const body = new ReadableStream({
      async pull(controller) {
        await new Promise(setImmediate)
        if (pulls++ === 0) controller.enqueue(Buffer.from('half'))
        else controller.error(new Error('broken'))
      },
    })
    return new Response(body)
  })
  await expect(fetch(url).then((response) => response.text())).rejects.toThrow()
})

it('a body that fails before any of it has gone out: 500', async () => {
  const { url, errors } = await start(() => {
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error('broken')) })
    return new Response(body, { headers: { 'x-secret': 'hunter2' } })
  })
  const response = await fetch(url)
  expect([response.status, response.headers.get('x-secret')]).toEqual([500, null])
  expect(await response.text()).toBe('Internal Server Error\n')
  expect(errors).toMatchObject([{ message: 'broken' }])
})

it('a body that is one piece has a length, and so has none at all; others come in chunks', async () => {
  const { url } = await start(({ url }) => {
    const { pathname } = new URL(url)
    if (pathname === '/one') return new Response('grüße')
    if (pathname === '/none') return new Response(null)
    return new Response(
      Readable.toWeb(Readable.from([Buffer.from('a'), Buffer.from('b')])) as ReadableStream,
    )
  })
  const lengths = ['/one', '/none', '/two'].map(async (path) => {
    const response = await fetch(url + path)
    return [await response.text(), response.headers.get('content-length')]
  })
  expect(await Promise.all(lengths)).toEqual([
    ['grüße', '7'],
    ['', '0'],
    ['ab', null],
  ])
})

it('a stream that has nothing to tell yet: its head is there', async () => {
  let tell = (_: Buffer) => {}
  const { url } = await start(() => {
    const body = new ReadableStream({
      start(controller) {
        tell = (bytes) => {
          controller.enqueue(bytes)
          controller.close()
        }
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  })
  const response = await fetch(url)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  tell(Buffer.from('data: x\n\n'))
  expect(await response.text()).toBe('data: x\n\n')
})

it('a Host that makes another path of the URL is refused, and so is a method that a Request can not have', async () => {
  const seen: string[] = []
  const { port } = await start((request) => {
    seen.push(new URL(request.url).pathname)
    return new Response('ok')
  })
  const ask = (line: string, host: string) =>
    talk(port, `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  for (const host of ['localhost/admin?', 'a#b', 'a@b', 'a\\b', '['])
    expect(await ask('GET /public', host)).toMatch(/^HTTP\/1\.1 400 /)
  expect(await ask('TRACE /public', 'a')).toMatch(/^HTTP\/1\.1 501 /)
  expect(await ask('GET /public', '[::1]:80')).toMatch(/^HTTP\/1\.1 200 /)
  expect(seen).toEqual(['/public'])
})
