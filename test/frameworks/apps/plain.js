// No framework: connect-style middleware, called by hand.
import { pipeline } from 'node:stream/promises'
import bodyParser from 'body-parser'
import compression from 'compression'
import cookieSession from 'cookie-session'
import cors from 'cors'
import helmet from 'helmet'
import multer from 'multer'
import serveStatic from 'serve-static'
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

/** What it does not have. */
export const lacks = ['JSON ETag', 'server session']

const upload = multer({ limits: { fileSize: UPLOAD_LIMIT } }).single('file')
const files = serveStatic(folder)

export function create() {
  const stack = [
    helmet(),
    cors({ origin: 'http://site.test', credentials: true }),
    compression(),
    bodyParser.json(),
    bodyParser.urlencoded(),
    bodyParser.text(),
    bodyParser.raw({ limit: '2mb' }),
    cookieSession({ name: 'flash', keys: [SECRET] }),
  ]
  return async (req, res) => {
    try {
      for (const one of stack) if (await passes(one, req, res)) return
      await answer(req, res)
    } catch (error) {
      if (!res.headersSent) res.writeHead(error.statusCode ?? 500).end(error.message)
      else res.destroy()
    }
  }
}

/** Runs a middleware; resolves with whether it has answered. */
const passes = (middleware, req, res) =>
  new Promise((resolve, reject) => {
    const answered = () => resolve(true)
    res.once('close', answered)
    middleware(req, res, (error) => {
      res.removeListener('close', answered)
      if (error) reject(error)
      else resolve(false)
    })
  })

const json = (res, value) => {
  res.setHeader('Content-Type', 'application/json; charset=utf-8')
  res.end(JSON.stringify(value))
}

const routes = {
  'GET /json': (_req, res) => json(res, GREETING),
  'HEAD /json': (_req, res) => json(res, GREETING),
  'GET /text': (_req, res) =>
    res.setHeader('Content-Type', 'text/plain; charset=utf-8').end('grüße'),
  'GET /redirect': (_req, res) => res.writeHead(302, { Location: '/text' }).end(),
  'GET /cookies': (req, res) => {
    res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/; HttpOnly'])
    json(res, req.headers.cookie ?? '')
  },
  'GET /flash': (req, res) => {
    req.session.count = (req.session.count ?? 0) + 1
    json(res, req.session.count)
  },
  'GET /lines': (_req, res) => {
    res.setHeader('Content-Type', 'text/plain')
    return pipeline(lineStream(), res)
  },
  'GET /events': async (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-transform' })
    for (const event of EVENTS) {
      res.write(eventText(event))
      await new Promise(setImmediate)
    }
    res.end()
  },
  'GET /throws': () => {
    throw teapot()
  },
  'GET /rejects': () => Promise.reject(teapot()),
  'POST /body': (req, res) =>
    json(res, Buffer.isBuffer(req.body) ? { bytes: req.body.length } : { body: req.body }),
  'POST /upload': async (req, res) => {
    await passes(upload, req, res)
    const { originalname, size, buffer } = req.file
    json(res, { name: originalname, size, sum: sum(buffer), title: req.body.title })
  },
}

async function answer(req, res) {
  const path = req.url.split('?')[0]
  const raw = rawRoutes[path] ?? routes[`${req.method} ${path}`]
  if (raw) return raw(req, res)
  if (path.startsWith('/files')) {
    req.url = req.url.slice('/files'.length) || '/'
    if (await passes(files, req, res)) return
  }
  res.writeHead(404).end('Nothing there')
}
