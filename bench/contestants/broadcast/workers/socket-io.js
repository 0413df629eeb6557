import { setTimeout as wait } from 'node:timers/promises'
import { createAdapter } from '@socket.io/cluster-adapter'
import { Server } from 'socket.io'
import { drive } from '../../../lib/load.js'
import { apply } from './cache.js'

const io = new Server({ adapter: createAdapter() })

io.on('changed', (input, acknowledge) => {
  apply(input)
  acknowledge('applied')
})

process.on('message', async ({ load }) => {
  if (load === undefined) return
  const call = (input) => io.serverSideEmitWithAck('changed', input)
  process.send({ result: await drive(call, load) })
})

// They find each other by heartbeats.
const peers = Number(process.env.PEERS ?? 0)
while ((await io.of('/').adapter.serverCount()) < peers + 1) await wait(20)
process.send({ ready: true })
