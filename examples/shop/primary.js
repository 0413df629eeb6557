// The main job: starts the workers, keeps the ledger, and hands each HTTP request to a worker.

import { availableParallelism } from 'node:os'
import { startPrimary } from '@clusterwire/core/cluster'
import { httpFront } from '@clusterwire/http-adapter'
import { ledger } from './contract.js'
import { createLedger } from './ledger.js'
import { tellAddress, tellWorkers } from './welcome.js'

const {
  PORT = '3000',
  HOST = '127.0.0.1', // Nobody but this machine, unless told otherwise.
  WORKERS = Math.max(2, availableParallelism()),
} = process.env

/** @type {import('@clusterwire/core/cluster').Primary | undefined} */
let primary
try {
  primary = await startPrimary({
    exec: new URL('./worker.js', import.meta.url),
    workers: Number(WORKERS),
  })
  primary.serve(ledger, createLedger())
  const { address, port } = await httpFront(primary).listen(Number(PORT), HOST)
  tellWorkers(primary)
  tellAddress(address, port)
} catch (error) {
  console.error(`The shop can't open: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
  await primary?.close()
}
