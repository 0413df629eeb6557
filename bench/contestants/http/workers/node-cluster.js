import { createServer } from 'node:http'
import { app } from './app.js'

createServer(app).listen(Number(process.argv[2]), '127.0.0.1')
