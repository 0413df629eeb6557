// Fastify 5 with its own plugins.
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import formbody from '@fastify/formbody'
import helmet from '@fastify/helmet'
import multipart from '@fastify/multipart'
import session from '@fastify/session'
import files from '@fastify/static'
import fastify from 'fastify'
import { folder } from './files.js'
import { rawRoutes } from './raw-routes.js'
import {
  EVENTS,
  eventText,
  GREETING,
  LIMIT,
  lineStream,
  SECRET,
  sum,
  teapot,
  UPLOAD_LIMIT,
} from './shared.js'

export const lacks = ['cookie session']

/** @param {import('fastify').FastifyServerOptions} [options] */
export async function create(options) {
  const app = fastify({ bodyLimit: LIMIT, ...options })
  // Routes that handle the body themselves; the plugins parse those of the rest.
  app.register(async (raw) => {
    raw.removeAllContentTypeParsers()
    raw.addContentTypeParser('*', (_request, _payload, done) => done(null))
    for (const [path, route] of Object.entries(rawRoutes))
      raw.all(path, (request, reply) => {
        reply.hijack()
        return route(request.raw, reply.raw)
      })
  })
  app.register(async (scope) => {
    scope.register(helmet).register(compress).register(etag).register(formbody)
    scope.register(cors, { origin: 'http://site.test', credentials: true })
    scope.register(cookie)
    scope.register(session, { secret: SECRET, cookieName: 'sid', cookie: { secure: false } })
    scope.register(multipart, { limits: { fileSize: UPLOAD_LIMIT } })
    scope.register(files, { root: folder, prefix: '/files/' })
    scope.addContentTypeParser(
      'application/octet-stream',
      { parseAs: 'buffer', bodyLimit: 2 * 1024 * 1024 },
      (_request, body, done) => done(null, body),
    )
    scope.register(routes)
  })
  await app.ready()
  return app
}

async function routes(app) {
  app.get('/json', async () => GREETING)
  app.get('/text', async () => 'grüße')
  app.get('/redirect', (_request, reply) => reply.redirect('/text'))
  app.get('/cookies', (request, reply) =>
    reply
      .setCookie('a', '1')
      .setCookie('b', '2', { httpOnly: true })
      .send({ cookie: request.headers.cookie ?? '' }),
  )
  app.get('/session', (request, reply) => {
    request.session.count = (request.session.count ?? 0) + 1
    reply.send({ count: request.session.count })
  })
  app.get('/lines', (_request, reply) => reply.type('text/plain').send(lineStream()))
  app.get('/events', async (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'Content-Type': 'text/event-stream' })
    for (const event of EVENTS) {
      reply.raw.write(eventText(event))
      await new Promise(setImmediate)
    }
    reply.raw.end()
  })
  app.get('/throws', () => {
    throw teapot()
  })
  app.get('/rejects', () => Promise.reject(teapot()))
  app.post('/body', async ({ body }) => (Buffer.isBuffer(body) ? { bytes: body.length } : { body }))
  app.post('/upload', async (request) => {
    const file = await request.file()
    const bytes = await file.toBuffer()
    const title = file.fields.title.value
    return { name: file.filename, size: bytes.length, sum: sum(bytes), title }
  })
}
