import './with-resolvers.js'
import { parentPort } from 'node:worker_threads'
import { wire } from 'undici-thread-interceptor'
import { app } from './app.js'

wire({ server: app, port: parentPort })
