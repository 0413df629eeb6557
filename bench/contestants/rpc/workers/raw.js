import { quote } from './quote.js'

process.on('message', ({ id, input }) => process.send({ id, output: quote(input) }))
