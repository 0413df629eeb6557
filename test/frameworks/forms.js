// The forms in which an app can be given to a worker, and what its users do with it where there is no front.
import { createServer } from 'node:http'
import { serveFetch, serveHttp } from '@clusterwire/http-adapter'
import { createAdaptorServer, getRequestListener } from '@hono/node-server'
import * as express from './apps/express.js'
import * as fastify from './apps/fastify.js'
import * as hono from './apps/hono.js'
import * as koa from './apps/koa.js'
import * as plain from './apps/plain.js'

/**
 * @typedef {import('node:http').Server} Server
 * @typedef {object} Form
 * @property {readonly string[]} lacks parts of the list of exchanges that the app does not have
 * @property {() => Promise<Server>} plain makes the app, on a server that can listen
 * @property {(worker: any) => Promise<Server>} serve makes the app and gives it to a worker
 * @property {true} [otherCode] its two sides are different code: they answer alike, but read requests in their own ways
 */

/** @type {Record<string, Form>} */
export const forms = {
  'a (req, res) listener': {
    lacks: plain.lacks,
    plain: async () => createServer(plain.create()),
    serve: async (worker) => serveHttp(worker, plain.create()),
  },
  'an http.Server': {
    lacks: plain.lacks,
    plain: async () => createServer(plain.create()),
    serve: async (worker) => serveHttp(worker, createServer(plain.create())),
  },
  'Express 5': {
    lacks: express.lacks,
    plain: async () => createServer(express.create()),
    serve: async (worker) => serveHttp(worker, express.create()),
  },
  "Nest's adapter for Express": {
    lacks: express.lacks,
    plain: async () => expressAdapter().getHttpServer(),
    serve: async (worker) => serveHttp(worker, expressAdapter()),
  },
  'Fastify 5, its instance': {
    lacks: fastify.lacks,
    plain: async () => (await fastify.create()).server,
    serve: async (worker) => serveHttp(worker, await fastify.create()),
  },
  'Fastify 5, its routing': {
    lacks: fastify.lacks,
    plain: async () => createServer((await fastify.create()).routing),
    serve: async (worker) => serveHttp(worker, (await fastify.create()).routing),
  },
  'Fastify 5, with a serverFactory': {
    lacks: fastify.lacks,
    plain: async () => (await withFactory()).server,
    serve: async (worker) => serveHttp(worker, (await withFactory()).server),
  },
  'Koa 3': {
    lacks: koa.lacks,
    plain: async () => createServer(koa.create().callback()),
    serve: async (worker) => serveHttp(worker, koa.create()),
  },
  'Koa 3, its callback': {
    lacks: koa.lacks,
    plain: async () => createServer(koa.create().callback()),
    serve: async (worker) => serveHttp(worker, koa.create().callback()),
  },
  'Hono, by its Node server': {
    lacks: hono.lacks,
    plain: async () => createAdaptorServer(hono.create()),
    serve: async (worker) => serveHttp(worker, getRequestListener(hono.create().fetch)),
  },
  'Hono, by serveFetch': {
    lacks: [...hono.lacks, 'raw'],
    otherCode: true,
    plain: async () => createAdaptorServer(hono.create()),
    serve: async (worker) => serveFetch(worker, hono.create().fetch),
  },
}

/** What `app.getHttpAdapter()` gives in Nest: an object that holds the Express app and the server made for it. */
function expressAdapter() {
  const app = express.create()
  const server = createServer(app)
  return { getInstance: () => app, getHttpServer: () => server, getType: () => 'express' }
}

const withFactory = () =>
  fastify.create({ serverFactory: (handler) => createServer((req, res) => handler(req, res)) })
