import { apply } from './cache.js'

process.on('message', ({ id, input }) => {
  apply(input)
  process.send({ id })
})
process.send('ready')
