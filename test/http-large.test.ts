// Bodies that are larger than any memory, both ways: neither the primary nor the worker grows with them.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage, request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { fixture } from './support/cluster.js'

/** GiB each way. */
const SIZE = Number(process.env.CLUSTERWIRE_LARGE ?? 1)
const BLOCKS = Math.round(SIZE * 1024)
const BLOCK = Buffer.alloc(1024 * 1024, 'y')
/** KiB that a process may grow by. */
const ROOM = 64 * 1024

interface State {
  readonly port: number
  readonly workers: readonly { readonly pid: number }[]
  readonly stats: Readonly<Record<string, unknown>>
}

async function startFront() {
  const options = { workers: 1, exec: fixture('bulk-worker.js') }
  const child = fork(fixture('http-primary.js'), [JSON.stringify(options)])
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  })
  const [{ port, workers }] = (await once(child, 'message')) as [State]
  return { child, port, pids: [child.pid as number, workers[0]?.pid as number] as const }
}

async function statsOf(child: ChildProcess): Promise<State['stats']> {
  child.send('tell')
  return ((await once(child, 'message')) as [State])[0].stats
}

/** Sends so many blocks, each when there is room for it; resolves with the bytes that the app has counted. */
async function upload(port: number, blocks: number, look: () => void): Promise<number> {
  const headers = { 'content-length': blocks * BLOCK.length }
  const req = request({ host: '127.0.0.1', port, method: 'POST', headers, agent: false })
  const response = once(req, 'response') as Promise<[IncomingMessage]>
  for (let sent = 0; sent < blocks; sent++) {
    if (!req.write(BLOCK)) await once(req, 'drain')
    look()
  }
  req.end()
  const [res] = await response
  let text = ''
  for await (const chunk of res.setEncoding('utf8')) text += chunk
  return Number(text)
}

/** Reads so many blocks; resolves with the bytes that came. */
async function download(port: number, blocks: number, look: () => void): Promise<number> {
  const [res] = (await once(
    get({ host: '127.0.0.1', port, path: `/${blocks}`, agent: false }),
    'response',
  )) as [IncomingMessage]
  let bytes = 0
  let looked = 0
  res.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes - looked < BLOCK.length) return
    looked = bytes
    look()
  })
  await once(res, 'end')
  return bytes
}

/** KiB that a process has in memory. */
function rssOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

for (const [name, move] of [
  ['upload', upload],
  ['download', download],
] as const)
  test(`an ${name} of ${SIZE} GiB: memory stays flat`.replace('an d', 'a d'), async ({
    annotate,
  }) => {
    const { child, port, pids } = await startFront()
    // What the first of them leaves in either process is not counted.
    await move(port, 32, () => {})
    const before = pids.map(rssOf)
    let most = [0, 0]
    const begun = performance.now()
    const bytes = await move(port, BLOCKS, () => {
      most = pids.map((pid, i) => Math.max(most[i] as number, rssOf(pid) - (before[i] as number)))
    })
    const seconds = (performance.now() - begun) / 1_000
    await annotate(
      `${seconds.toFixed(1)} s; resident memory gained at most: primary ${most[0]} KiB, worker ${most[1]} KiB`,
    )
    expect(bytes).toBe(BLOCKS * BLOCK.length)
    expect(Math.max(...most)).toBeLessThan(ROOM)
    expect(await statsOf(child)).toMatchObject({ active: 0, cut: 0, refused: 0 })
  }, 600_000)
