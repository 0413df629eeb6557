import { Worker } from 'node:worker_threads'

const empty = 'require("node:worker_threads").parentPort.on("message", () => {})'
new Worker(empty, { eval: true }).unref()
if (process.argv[2] === 'app') await import('./app.js')
process.send('ready')
