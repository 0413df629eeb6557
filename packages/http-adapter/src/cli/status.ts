// Draws the status line on a terminal, once a second.

import type { WriteStream } from 'node:tty'
import type { Primary } from '@clusterwire/core/cluster'
import type { TransparentFront } from '../transparent/transparent-front.js'
import { Meter } from './meter.js'
import {
  drawAtBottom,
  releaseBottom,
  renderStatus,
  reserveBottom,
  type StatusFacts,
} from './status-line.js'

const INTERVAL = 1_000
/** On a smaller terminal the app's own lines need all the room. */
const MIN_ROWS = 5

/** What the line tells about. */
export interface Watched {
  readonly primary: Primary
  readonly front: TransparentFront
}

/**
 * Shows the line.
 *
 * @returns what takes it away again
 */
export function showStatus(terminal: WriteStream, { primary, front }: Watched): () => void {
  const meter = new Meter()
  let restarts = 0
  let reserved = 0
  primary.events.on('worker.exit', (_worker, { expected }) => {
    if (!expected) restarts++
  })
  const release = () => {
    if (reserved > 0) terminal.write(releaseBottom(reserved))
    reserved = 0
  }
  const draw = () => {
    const { rows, columns } = terminal
    if (rows < MIN_ROWS) return release()
    if (rows !== reserved) {
      release()
      terminal.write(reserveBottom(rows))
      reserved = rows
    }
    const facts: StatusFacts = {
      ...meter.read(),
      pending: front.ports.reduce((sum, port) => sum + port.front.stats().active, 0),
      workers: primary.workers.map(({ state }) => state),
      restarts,
      rss: primary.workers.reduce((sum, { rss = 0 }) => sum + rss, process.memoryUsage.rss()),
    }
    terminal.write(drawAtBottom(renderStatus(facts, columns), rows))
  }
  draw()
  const timer = setInterval(draw, INTERVAL).unref()
  const stop = () => {
    clearInterval(timer)
    meter.stop()
    release()
  }
  process.once('exit', stop)
  return () => {
    process.off('exit', stop)
    stop()
  }
}
