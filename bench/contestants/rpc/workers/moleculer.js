import { ServiceBroker } from 'moleculer'
import { quote } from './quote.js'

const broker = new ServiceBroker({ ...JSON.parse(process.argv[2]), nodeID: process.argv[3] })
broker.createService({
  name: 'pricing',
  actions: { quote: ({ params }) => quote(params) },
})
await broker.start()
process.send('ready')
process.once('disconnect', () => broker.stop())
