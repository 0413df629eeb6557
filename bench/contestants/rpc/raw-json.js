// process.send with the default serialization, and nothing around it but a map from id to resolve: what one writes by hand.
import { start as startRaw } from './workers/raw-primary.js'

export const name = 'raw-json'
export const version = ''
export const start = (workers) => startRaw(workers, 'json')
