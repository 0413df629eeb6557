// Starts the main job as a user does, asks it everything, breaks it, ends it; exits with 1 when an answer is wrong.

import { failed, launch } from '../kit.js'
import { checkAnswers } from './checks/answers.js'
import { checkBusyPort, checkKill, checkLoad, checkSignal } from './checks/cluster.js'
import { checkPrices } from './checks/prices.js'
import { checkWelcome } from './checks/welcome.js'
import { createClient } from './client.js'

const primary = new URL('./primary.js', import.meta.url)

const shop = launch(primary, { PORT: '0', WORKERS: '2' })
const base = await shop.printed(/http:\S+(?=\s)/)
const client = createClient(base)

await checkWelcome(shop, base, 2)
await checkAnswers(client)
await checkPrices(base, client)
await checkLoad(base)
await checkKill(shop, base, client)
await checkBusyPort(primary, base)
await checkSignal(shop, base, 'SIGINT')

const second = launch(primary, { PORT: '0' })
await checkSignal(second, await second.printed(/http:\S+(?=\s)/), 'SIGTERM')

client.close()
if (failed()) console.log(shop.text.stderr)
