// Clusterwire with nothing to serve: what a start costs that any program with it pays. All defaults, the watchdog thread included.
import { startPrimary } from '@clusterwire/core/cluster'

const primary = await startPrimary({
  exec: new URL('./workers/clusterwire.js', import.meta.url),
  workers: Number(process.argv[2]),
})
process.send({ pids: primary.workers.map(({ pid }) => pid) })
process.once('disconnect', () => primary.close())
