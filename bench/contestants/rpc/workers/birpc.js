import { createBirpc } from 'birpc'
import { quote } from './quote.js'

createBirpc(
  { quote },
  { post: (data) => process.send(data), on: (fn) => process.on('message', fn) },
)
