export { type Installation, run } from './cli/run.js'
