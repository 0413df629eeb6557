// What the pools run.
export { quote as default } from './quote.js'
