// Hono 4 with its own middleware. Its routes behind Node's back need the request and response that a Node server gives it.
import { serveStatic } from '@hono/node-server/serve-static'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { compress } from 'hono/compress'
import { getSignedCookie, setCookie, setSignedCookie } from 'hono/cookie'
import { cors } from 'hono/cors'
import { etag } from 'hono/etag'
import { HTTPException } from 'hono/http-exception'
import { secureHeaders } from 'hono/secure-headers'
import { stream, streamSSE } from 'hono/streaming'
import { folder } from './files.js'
import { rawRoutes } from './raw-routes.js'
import { EVENTS, GREETING, LIMIT, lines, SECRET, sum } from './shared.js'

export const lacks = ['server session', 'file ETag', 'br']

export function create() {
  const app = new Hono()
  app.use(secureHeaders(), cors({ origin: 'http://site.test', credentials: true }))
  app.use(compress())
  for (const [path, route] of Object.entries(rawRoutes))
    app.all(path, async ({ env }) => {
      await route(env.incoming, env.outgoing)
      return RESPONSE_ALREADY_SENT
    })
  app.use('/files/*', serveStatic({ root: folder, rewriteRequestPath: (path) => path.slice(6) }))
  app.get('/json', etag(), (c) => c.json(GREETING))
  app.get('/text', (c) => c.text('grüße'))
  app.get('/redirect', (c) => c.redirect('/text'))
  app.get('/cookies', (c) => {
    setCookie(c, 'a', '1')
    setCookie(c, 'b', '2', { httpOnly: true })
    return c.json(c.req.header('cookie') ?? '')
  })
  app.get('/flash', async (c) => {
    const count = Number((await getSignedCookie(c, SECRET, 'flash')) || 0) + 1
    await setSignedCookie(c, 'flash', String(count), SECRET)
    return c.json(count)
  })
  app.get('/lines', (c) => {
    c.header('Content-Type', 'text/plain')
    return stream(c, async (out) => {
      for (const line of lines()) await out.write(line)
    })
  })
  app.get('/events', (c) =>
    streamSSE(c, async (out) => {
      for (const event of EVENTS) await out.writeSSE(event)
    }),
  )
  app.get('/throws', () => {
    throw new HTTPException(418, { message: 'I am a teapot' })
  })
  app.get('/rejects', () => Promise.reject(new HTTPException(418, { message: 'I am a teapot' })))
  app.post('/body', async (c) => {
    const type = c.req.header('content-type') ?? ''
    if (type.includes('octet')) return c.json({ bytes: (await c.req.arrayBuffer()).byteLength })
    const limited = await bodyLimit({ maxSize: LIMIT })(c, async () => {})
    return limited ?? c.json({ body: await bodyOf(c, type) })
  })
  app.post('/upload', async (c) => {
    const { file, title } = await c.req.parseBody()
    const bytes = Buffer.from(await file.arrayBuffer())
    return c.json({ name: file.name, size: bytes.length, sum: sum(bytes), title })
  })
  return app
}

async function bodyOf(c, type) {
  if (type.includes('form')) return c.req.parseBody()
  if (type.includes('text')) return c.req.text()
  return c.req.json().catch(() => {
    throw new HTTPException(400, { message: 'Not JSON' })
  })
}
