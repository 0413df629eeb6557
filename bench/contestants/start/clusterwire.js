// Clusterwire with nothing to serve: what its start costs every program. All defaults, the watchdog thread included.
import { startPrimary } from '@clusterwire/core/cluster'

const [workers, what] = process.argv.slice(2)
const primary = await startPrimary({
  exec: new URL('./workers/clusterwire.js', import.meta.url),
  args: [what],
  workers: Number(workers),
})
process.send({ pids: primary.workers.map(({ pid }) => pid) })
process.once('disconnect', () => primary.close())
