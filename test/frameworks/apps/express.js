// Express 5 with what such apps usually have.
import compression from 'compression'
import cookieSession from 'cookie-session'
import cors from 'cors'
import express from 'express'
import session from 'express-session'
import helmet from 'helmet'
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

export const lacks = []

export function create() {
  const app = express()
  app.use(helmet(), cors({ origin: 'http://site.test', credentials: true }), compression())
  for (const [path, route] of Object.entries(rawRoutes)) app.all(path, route)
  app.use(express.json(), express.urlencoded(), express.text(), express.raw({ limit: '2mb' }))
  app.use('/files', express.static(folder))

  app.get('/json', (_req, res) => res.json(GREETING))
  app.get('/text', (_req, res) => res.type('txt').send('grüße'))
  app.get('/redirect', (_req, res) => res.redirect('/text'))
  app.get('/cookies', (req, res) =>
    res
      .cookie('a', '1')
      .cookie('b', '2', { httpOnly: true })
      .json(req.get('cookie') ?? ''),
  )
  const memory = session({ name: 'sid', secret: SECRET, resave: false, saveUninitialized: true })
  app.get('/session', memory, count)
  app.get('/flash', cookieSession({ name: 'flash', keys: [SECRET] }), count)
  app.get('/lines', (_req, res) => lineStream().pipe(res.type('txt')))
  app.get('/events', async (_req, res) => {
    res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-transform' })
    for (const event of EVENTS) {
      res.write(eventText(event))
      await new Promise(setImmediate)
    }
    res.end()
  })
  app.get('/throws', () => {
    throw teapot()
  })
  app.get('/rejects', () => Promise.reject(teapot()))
  app.post('/body', (req, res) =>
    res.json(Buffer.isBuffer(req.body) ? { bytes: req.body.length } : { body: req.body }),
  )
  const upload = multer({ limits: { fileSize: UPLOAD_LIMIT } })
  app.post('/upload', upload.single('file'), ({ file, body }, res) =>
    res.json({
      name: file.originalname,
      size: file.size,
      sum: sum(file.buffer),
      title: body.title,
    }),
  )
  app.use((error, _req, res, next) => {
    if (res.headersSent) return next(error)
    res.status(error.status ?? 500).json({ error: error.message })
  })
  return app
}

function count(req, res) {
  req.session.count = (req.session.count ?? 0) + 1
  res.json(req.session.count)
}
