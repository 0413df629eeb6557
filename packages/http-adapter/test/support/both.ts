// The same server under Node alone and behind a front: what a client sees of the two must be the same.
import { createServer, type RequestListener, type Server } from 'node:http'
import { it } from 'vitest'
import type { UpgradeListener } from '../../src/index.js'
import { startCluster, startPlain } from './cluster.js'

/** A server that has not been told to listen. */
export function serverOf(
  upgrade: UpgradeListener,
  request: RequestListener = (_req, res) => void res.end('ordinary'),
): Server {
  return createServer(request).on('upgrade', upgrade)
}

/** Runs a test twice: with `make`'s server behind its own port, and in each worker behind a front. */
export function onBoth(
  name: string,
  make: () => Server,
  test: (port: number) => Promise<void>,
): void {
  it(`${name} (node:http)`, async () => test(await startPlain(make())))
  it(`${name} (the front)`, async () => test((await startCluster(make)).port))
}
