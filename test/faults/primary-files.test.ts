// Row M8: the primary has no file descriptor left for the connections that come in.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { SteadyClient } from '../support/attack.js'
import { TestCluster, until } from '../support/cluster.js'
import { fault, tally } from '../support/fault.js'

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number; readonly state: string }[]
  readonly stats: { readonly connections: { readonly open: number } }
}

/** More than the primary may have files open. */
const CLIENTS = 500

/** A primary with a front, and room for fewer connections than come. */
async function startFront() {
  const withFiles = ['bash', '-c', 'ulimit -n 200; exec "$@"', 'bash']
  const { child, pids, exited } = new TestCluster({ workers: 2 }, withFiles, 'http-primary.js')
  const told = async () => {
    const message = await Promise.race([once(child, 'message'), exited])
    if (!Array.isArray(message)) throw new Error('The primary has ended')
    return message[0] as State
  }
  const { port, workers } = await told()
  for (const { pid } of workers) pids.add(pid)
  const state = () => {
    child.send('tell')
    return told()
  }
  return { pid: child.pid as number, port, state }
}

/** A download that takes half a second; resolves with all of it. */
async function download(port: number): Promise<string> {
  const [res] = (await once(
    get({ port, host: '127.0.0.1', path: '/lines/5', agent: false }),
    'response',
  )) as [IncomingMessage]
  let text = ''
  for await (const chunk of res.setEncoding('utf8')) text += chunk
  return text
}

/** Opens connections that send nothing. */
function flood(port: number) {
  let closed = 0
  const sockets = Array.from({ length: CLIENTS }, () =>
    connect(port, '127.0.0.1')
      .on('error', () => {})
      .on('close', () => closed++),
  )
  const end = () => {
    for (const socket of sockets) socket.destroy()
  }
  onTestFinished(end)
  return { end, closed: () => closed }
}

/** Seconds of processor time that a process has used. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

fault(
  'M8',
  'no file descriptor is left for more connections: those that are open go on, the others are closed',
  async (record) => {
    const { pid, port, state } = await startFront()
    const before = await state()
    const client = new SteadyClient(port)
    onTestFinished(() => client.close())
    await client.ask('GET', '/whoami')
    const downloads = Promise.allSettled(Array.from({ length: 10 }, () => download(port)))
    await until('the downloads', async () => (await state()).stats.connections.open === 11)
    const crowd = flood(port)
    await until('all are let in or closed', async () => {
      const { open } = (await state()).stats.connections
      return crowd.closed() > 0 && open - 11 + crowd.closed() === CLIENTS
    })
    for (let n = 0; n < 20; n++) expect((await client.ask('GET', '/whoami')).status).toBe(200)
    const settled = await downloads
    expect(tally(settled)).toEqual({ answered: 10 })
    for (const one of settled)
      expect(one).toMatchObject({ value: expect.stringMatching(/^(\d+ \d\n){5}$/) })
    // The primary does not ask again and again for what it can't have.
    const [cpu, at] = [cpuOf(pid), performance.now()]
    await client.ask('GET', '/lines/10')
    expect((cpuOf(pid) - cpu) / ((performance.now() - at) / 1_000)).toBeLessThan(0.5)
    const endedAt = performance.now()
    const turnedAway = crowd.closed()
    crowd.end()
    await until('a new connection', () =>
      download(port).then(
        () => true,
        () => false,
      ),
    )
    const recoveredMs = Math.round(performance.now() - endedAt)
    const { workers } = await state()
    expect(workers.map((one) => one.pid)).toEqual(before.workers.map((one) => one.pid))
    expect(workers.every((one) => one.state === 'ready')).toBe(true)
    record({
      calls: 10,
      settled: tally(settled),
      recoveredMs,
      note: `${turnedAway} of ${CLIENTS} connections are closed at once; the workers notice nothing`,
    })
  },
)
