// process.send with `serialization: "advanced"` (structured clone), otherwise like raw-json.
import { start as startRaw } from './workers/raw-primary.js'

export const name = 'raw-advanced'
export const version = ''
export const start = (workers) => startRaw(workers, 'advanced')
