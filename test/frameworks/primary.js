// A primary of the tests, with a front: tells its port when it listens.
import { startPrimary } from '@clusterwire/core/cluster'
import { httpFront } from '@clusterwire/http-adapter'

const primary = await startPrimary({ exec: new URL('./worker.js', import.meta.url), workers: 2 })
process.send?.(await httpFront(primary).listen(0, '127.0.0.1'))
