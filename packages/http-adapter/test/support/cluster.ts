// A cluster inside this process, with a front that listens and an app in each worker; and a plain node:http server beside it.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMemoryMesh, type MemoryMesh, type MeshPeer } from '@clusterwire/core/testing'
import { onTestFinished } from 'vitest'
import {
  type FrontOptions,
  type HttpFront,
  type HttpOptions,
  httpFront,
  serveHttp,
} from '../../src/index.js'

export interface Setup {
  readonly mesh: MemoryMesh
  readonly front: HttpFront
  readonly port: number
}

/** Makes what a worker serves; called for each of them. */
export type MakeApp = (worker: MeshPeer) => RequestListener | Server

export async function startCluster(
  app: MakeApp | undefined,
  { workers = 2, ...options }: FrontOptions & { workers?: number } = {},
): Promise<Setup> {
  const mesh = await createMemoryMesh({ workers })
  if (app !== undefined) for (const worker of mesh.workers) await serve(worker, app)
  const front = httpFront(mesh.primary, { grace: 1, ...options })
  const { port } = await front.listen(0, '127.0.0.1')
  onTestFinished(async () => {
    await front.close()
    await mesh.close()
  })
  return { mesh, front, port }
}

export async function serve(worker: MeshPeer, app: MakeApp, options?: HttpOptions): Promise<void> {
  serveHttp(worker, app(worker), options)
  await worker.ready()
}

/** The same app under Node alone. */
export async function startPlain(app: RequestListener | Server): Promise<number> {
  const server = typeof app === 'function' ? createServer(app) : app
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}
