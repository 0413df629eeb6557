// Koa 3 with what such apps usually have.

import { Readable } from 'node:stream'
import { bodyParser } from '@koa/bodyparser'
import cors from '@koa/cors'
import etag from '@koa/etag'
import Koa from 'koa'
import compress from 'koa-compress'
import conditional from 'koa-conditional-get'
import helmet from 'koa-helmet'
import session from 'koa-session'
import files from 'koa-static'
import multer from 'multer'
import { folder } from './files.js'
import { rawRoutes } from './raw-routes.js'
import {
  EVENTS,
  eventText,
  GREETING,
  lineStream,
  SECRET,
  sum,
  teapot,
  UPLOAD_LIMIT,
} from './shared.js'

export const lacks = ['server session', 'raw body', 'ranges']

export function create() {
  const app = new Koa({ keys: [SECRET] })
  app.silent = true
  app.use(helmet()).use(cors({ origin: 'http://site.test', credentials: true }))
  app.use(leaveToNode).use(compress()).use(conditional()).use(etag())
  app.use(session({ key: 'flash', maxAge: 'session' }, app))
  app.use(bodyParser({ jsonLimit: '100kb', enableTypes: ['json', 'form', 'text'] }))
  app.use(staticFiles()).use((ctx) => routes[`${ctx.method} ${ctx.path}`]?.(ctx))
  return app
}

async function leaveToNode(ctx, next) {
  const raw = rawRoutes[ctx.path]
  if (raw === undefined) return next()
  ctx.respond = false
  ctx.res.statusCode = 200 // Koa has set 404.
  await raw(ctx.req, ctx.res)
}

function staticFiles() {
  const serve = files(folder)
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/files')) return next()
    ctx.path = ctx.path.slice('/files'.length) || '/'
    await serve(ctx, async () => {})
  }
}

const upload = multer({ limits: { fileSize: UPLOAD_LIMIT } }).single('file')

const json = (ctx) => {
  ctx.body = GREETING
}

const routes = {
  'GET /json': json,
  'HEAD /json': json,
  'GET /text': (ctx) => {
    ctx.body = 'grüße'
  },
  'GET /redirect': (ctx) => ctx.redirect('/text'),
  'GET /cookies': (ctx) => {
    ctx.cookies.set('a', '1', { signed: false }).set('b', '2', { signed: false, httpOnly: false })
    ctx.body = { cookie: ctx.get('cookie') }
  },
  'GET /flash': (ctx) => {
    ctx.session.count = (ctx.session.count ?? 0) + 1
    ctx.body = { count: ctx.session.count }
  },
  'GET /lines': (ctx) => {
    ctx.type = 'txt'
    ctx.body = lineStream()
  },
  'GET /events': (ctx) => {
    ctx.type = 'text/event-stream'
    ctx.compress = false
    ctx.body = Readable.from(EVENTS.map(eventText))
  },
  'GET /throws': () => {
    throw Object.assign(teapot(), { expose: true })
  },
  'GET /rejects': () => Promise.reject(Object.assign(teapot(), { expose: true })),
  'POST /body': (ctx) => {
    ctx.body = { body: ctx.request.body }
  },
  'POST /upload': async ({ req, res, ...ctx }) => {
    await new Promise((resolve, reject) =>
      upload(req, res, (error) => (error ? reject(error) : resolve(undefined))),
    )
    const { originalname, size, buffer } = req.file
    ctx.response.body = { name: originalname, size, sum: sum(buffer), title: req.body.title }
  },
}
