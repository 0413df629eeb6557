// Who talks to whom in the shared suite, over the links of the transport that is tested.

import type { ClusterPeer, Target } from '@clusterwire/core/cluster'
import type { MemoryMesh, MeshOptions } from '@clusterwire/core/testing'
import type { Link } from '../../src/transport.js'
import { type LabHandlers, serveLab } from '../fixtures/workbench.js'
import { allReady, openMesh } from '../support.js'

/** Makes the two ends of a link: the primary's, and the worker's. `limit`: the largest frame. */
export type CreateLinks = (limit?: number) => readonly [Link, Link] | Promise<readonly [Link, Link]>

/** Every way that a call can go. */
export const WAYS = ['primary to worker', 'worker to primary', 'worker to worker'] as const
export type Way = (typeof WAYS)[number]

export interface SceneOptions extends Omit<MeshOptions, 'createLinks'> {
  /** The largest frame, in bytes. */
  readonly limit?: number
}

/** A mesh, and what is needed to break it. */
export interface Scene {
  readonly mesh: MemoryMesh
  /** The primary's ends of the links, by the order of the workers. */
  readonly primaryEnds: readonly Link[]
  /** The workers' ends. */
  readonly workerEnds: readonly Link[]
}

/** One peer that calls and one that is called; only that one serves the lab. */
export interface Pair extends Scene {
  readonly caller: ClusterPeer
  readonly callee: ClusterPeer
  /** How the caller's client is told where to go. */
  readonly target: Target
  calleeDies(): void
  callerDies(): void
}

export async function openScene(
  createLinks: CreateLinks,
  { limit, ...options }: SceneOptions = {},
): Promise<Scene> {
  const primaryEnds: Link[] = []
  const workerEnds: Link[] = []
  const mesh = await openMesh({
    ...options,
    async createLinks() {
      const links = await createLinks(limit)
      primaryEnds.push(links[0])
      workerEnds.push(links[1])
      return links
    },
  })
  return { mesh, primaryEnds, workerEnds }
}

/** What stays the same in every test of one way over one transport. */
export interface Stage {
  readonly way: Way
  readonly createLinks: CreateLinks
}

export async function openPair(
  { way, createLinks }: Stage,
  handlers: Partial<LabHandlers> = {},
  options: SceneOptions = {},
): Promise<Pair> {
  const workers = way === 'worker to worker' ? 2 : 1
  const scene = await openScene(createLinks, { workers, ...options })
  const { primary, workers: all } = scene.mesh
  const caller = way === 'primary to worker' ? primary : (all[0] as ClusterPeer)
  const callee = way === 'worker to primary' ? primary : (all[workers - 1] as ClusterPeer)
  serveLab(callee, handlers)
  await allReady(scene.mesh)
  const dies = (peer: ClusterPeer) => () => {
    // A primary that dies is, to its worker, a link that ends.
    const worker = peer === primary ? 0 : all.findIndex(({ number }) => number === peer.number)
    if (peer === primary) scene.primaryEnds[worker]?.destroy(new Error('the primary was killed'))
    else all[worker]?.kill()
  }
  const target: Target = way === 'worker to primary' ? { to: 'primary' } : {}
  return { ...scene, caller, callee, target, calleeDies: dies(callee), callerDies: dies(caller) }
}
