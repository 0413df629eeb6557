// The same app, served by plain node:http and by two real workers behind a front, gives the same answers.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { Client } from './client.js'
import { exchangesFor, type Form, forms } from './load.js'
import { expectCertain, seen } from './observe.js'

for (const [name, form] of Object.entries(forms))
  it(`${name}: two workers answer as node:http does`, async () => {
    const plain = await listen(form)
    const cluster = await startCluster(name)
    for (const [what, exchange] of exchangesFor(form)) {
      if (exchange.oneWorker) continue
      const one = await seen(exchange, plain, form)
      expectCertain(exchange, one)
      expect(await seen(exchange, cluster, form), what).toEqual(one)
    }
  })

async function listen(form: Form): Promise<Client> {
  const server = await form.plain()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return clientOf(server.address() as AddressInfo)
}

async function startCluster(FORM: string): Promise<Client> {
  const script = fileURLToPath(new URL('./primary.js', import.meta.url))
  const child = fork(script, { env: { ...process.env, FORM } })
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit')
  })
  const [address] = (await once(child, 'message')) as [AddressInfo]
  return clientOf(address)
}

function clientOf({ port }: AddressInfo): Client {
  const client = new Client(port)
  onTestFinished(() => client.close())
  return client
}
