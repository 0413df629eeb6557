// Asks every worker at once how it does; one that dies meanwhile is told as such.

import { shopWorker } from './contract.js'

/**
 * @param {import('@clusterwire/core/cluster').ClusterWorker} worker
 * @returns {import('express').RequestHandler}
 */
export function workerStats(worker) {
  const everyone = worker.all(shopWorker)
  return async (_req, res) => {
    const receipt = await everyone.stats()
    const stats = receipt.outcomes.map((outcome) => ({
      worker: outcome.member.number,
      status: outcome.status,
      ...(outcome.status === 'applied' && outcome.value),
    }))
    res.json(stats.sort((a, b) => a.worker - b.worker))
  }
}
